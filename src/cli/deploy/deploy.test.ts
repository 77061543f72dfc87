import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runCli } from '../run-cli.fixture.ts'
import { assetHash, readAssets } from './assets.ts'
import { bundleWorker } from './bundle.ts'
import { bindingsOf, migrationsAfter, uploadForm } from './metadata.ts'
import { platform } from './platform.fixture.ts'
import { findConfig, readConfig } from './read-config.ts'
import { allRules, typeFor } from './rules.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const app = (name: string): string => resolve(root, 'test/apps', name)

function project(context: { after(run: () => void): void }, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'rimward-deploy-'))
  context.after(() => rmSync(folder, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), text)
  }
  return folder
}

const minimal = { name: 'a', main: 'index.js', compatibility_date: '2026-11-01' }

async function ownForm(folder: string): Promise<FormData> {
  const { config } = readConfig(findConfig(folder))
  const bundle = await bundleWorker(config, folder)
  const migrations = migrationsAfter(config.migrations, undefined)
  const bindings = bindingsOf(config, new Map([['NOTES', 'notes-id']]))
  return uploadForm({ config, folder, bundle, bindings, migrations, assets: undefined, message: undefined })
}

interface Part {
  readonly name: string
  readonly type: string
  readonly bytes: number
}

const byName = <T extends { name: string }>(list: readonly T[]): T[] =>
  [...list].sort((a, b) => (a.name < b.name ? -1 : 1))

async function partsOf(form: FormData): Promise<{ metadata: Record<string, unknown>; parts: Part[] }> {
  const parts: Part[] = []
  for (const [name, value] of form) {
    if (typeof value !== 'string') parts.push({ name, type: value.type, bytes: value.size })
  }
  return { metadata: JSON.parse(String(form.get('metadata'))), parts: byName(parts) }
}

test('the upload is the one that wrangler makes', async (t) => {
  for (const name of ['everything', 'hello', 'hello-script']) {
    const out = join(project(t, {}), 'upload.bin')
    const env = { ...process.env, CI: 'true', WRANGLER_SEND_METRICS: 'false' }
    const args = [resolve(root, 'node_modules/wrangler/bin/wrangler.js'), 'deploy', '--dry-run', '--outfile', out]
    await promisify(execFile)(process.execPath, args, { cwd: app(name), env })
    const body = readFileSync(out)
    const boundary = body.subarray(2, body.indexOf('\r\n')).toString()
    const type = `multipart/form-data; boundary=${boundary}`
    const theirs = await partsOf(await new Response(body, { headers: { 'content-type': type } }).formData())
    const ours = await partsOf(await ownForm(app(name)))
    const modules = (parts: Part[]): Part[] =>
      parts.filter((part) => !part.name.endsWith('.js') && !part.name.endsWith('.map'))
    assert.deepEqual(modules(ours.parts), modules(theirs.parts), name)
    assert.deepEqual(
      ours.parts.filter((part) => part.name.endsWith('.js')).map(({ name, type }) => ({ name, type })),
      theirs.parts.filter((part) => part.name.endsWith('.js')).map(({ name, type }) => ({ name, type })),
    )
    // A namespace without id and assets are only known to the platform: a dry run leaves them out.
    const known = (bindings: unknown) =>
      byName(bindings as { name: string; type: string }[]).filter((one) => one.name !== 'NOTES')
    assert.deepEqual(known(ours.metadata.bindings), known(theirs.metadata.bindings), name)
    for (const key of ['main_module', 'body_part', 'compatibility_date']) {
      assert.deepEqual(ours.metadata[key], theirs.metadata[key], `${name}: ${key}`)
    }
  }
})

test('configuration that does not fit is refused by name and place', (t) => {
  const cases: [string, string, RegExp][] = [
    ['wrangler.jsonc', '{\n  "name": "a",\n  "main" "x"\n}', /line 3, column 10: ColonExpected/],
    ['wrangler.toml', 'name = "a"\nmain = \n', /wrangler\.toml: line 2, column/],
    [
      'wrangler.json',
      JSON.stringify({ ...minimal, r2_buckets: [{}] }),
      /"r2_buckets" is not supported by "rimward deploy"; nothing was deployed/,
    ],
    [
      'wrangler.json',
      JSON.stringify({ ...minimal, d1_databases: [{}], vectorize: [{}], pipelines: [] }),
      /"d1_databases", "vectorize" are not supported/,
    ],
    [
      'wrangler.json',
      JSON.stringify({ ...minimal, assets: { directory: 'x', base_path: '/' } }),
      /"assets\.base_path" is not supported/,
    ],
    ['wrangler.json', JSON.stringify({ ...minimal, compatibility_flags: 'nodejs_compat' }), /"compatibility_flags": /],
    [
      'wrangler.json',
      JSON.stringify({ ...minimal, kv_namespaces: [{ binding: 'a-b' }] }),
      /"kv_namespaces\.0\.binding": must be a JavaScript identifier/,
    ],
    ['wrangler.json', JSON.stringify({ ...minimal, name: 'A B' }), /the name "A B" may hold/],
    ['wrangler.json', JSON.stringify({ ...minimal, name: undefined }), /"name" is missing/],
    ['wrangler.json', JSON.stringify({ ...minimal, main: undefined }), /"main" is missing/],
    ['wrangler.json', JSON.stringify({ ...minimal, compatibility_date: undefined }), /"compatibility_date" is missing/],
    ['wrangler.json', JSON.stringify({ ...minimal, route: 'a/*', routes: ['b/*'] }), /"route" or "routes", not both/],
    ['other.txt', '', /There is no wrangler\.jsonc/],
  ]
  for (const [name, text, message] of cases) {
    assert.throws(() => readConfig(findConfig(project(t, { [name]: text }))), { name: 'Complaint', message }, text)
  }
})

test('environments: bindings are their own, the rest is inherited, the name gets a suffix', (t) => {
  const config = {
    ...minimal,
    vars: { A: '1' },
    routes: ['top.example/*'],
    minify: true,
    env: { staging: { vars: { B: '2' }, route: 'staging.example/*' }, live: { name: 'other' } },
  }
  const folder = project(t, { 'wrangler.json': JSON.stringify(config), 'src/deep/.keep': '' })
  const path = findConfig(join(folder, 'src/deep'))
  const staging = readConfig(path, { environment: 'staging' }).config
  assert.equal(staging.name, 'a-staging')
  assert.deepEqual(staging.vars, { B: '2' })
  assert.deepEqual(staging.routes, ['staging.example/*'])
  assert.equal(staging.minify, true)
  const live = readConfig(path, { environment: 'live' }).config
  assert.deepEqual([live.name, live.vars, live.routes], ['other', undefined, ['top.example/*']])
  assert.throws(() => readConfig(path, { environment: 'none' }), /has no environment "none"; it has staging, live/)
})

test('what a build tool wrote is deployed instead, and what is empty in it is not in the way', (t) => {
  const built = { ...minimal, main: 'built.js', topLevelName: 'a', configPath: '/x', logfwdr: { bindings: [] }, k2: [] }
  const files = {
    'wrangler.jsonc': JSON.stringify(minimal),
    '.wrangler/deploy/config.json': '{"configPath":"../../dist/wrangler.json","auxiliaryWorkers":[]}',
    'dist/wrangler.json': JSON.stringify(built),
  }
  const folder = project(t, files)
  const found = readConfig(findConfig(folder))
  assert.deepEqual([found.folder, found.config.main], [join(folder, 'dist'), 'built.js'])
  rmSync(found.path)
  assert.throws(() => findConfig(folder), { name: 'Complaint', message: /wrangler\.json, which is not there: build/ })
})

test('source that does not build is refused with file, line and column', async (t) => {
  const cases: [Record<string, string>, object, RegExp][] = [
    [{ 'index.js': 'export default {\n  fetch( }' }, {}, /index\.js:2:10: Expected identifier but found "}"/],
    [
      { 'index.js': 'import x from "./gone.js"\nexport default x' },
      {},
      /index\.js:1:15: Could not resolve "\.\/gone\.js"/,
    ],
    [{ 'index.js': 'import fs from "fs"\nexport default fs' }, {}, /add "nodejs_compat"/],
    [{ 'index.js': 'import x from "./gone.txt"\nexport default x' }, {}, /Could not resolve "\.\/gone\.txt"/],
    [{}, {}, /"main" names .*index\.js, which is not there/],
    [{ 'index.py': '' }, { main: 'index.py' }, /Python Workers are not supported/],
  ]
  for (const [files, extra, message] of cases) {
    const folder = project(t, { 'wrangler.json': JSON.stringify({ ...minimal, ...extra }), ...files })
    await assert.rejects(bundleWorker(readConfig(findConfig(folder)).config, folder), { name: 'Complaint', message })
  }
})

test('build options reach the bundle', async (t) => {
  const build = async (files: Record<string, string>, extra: object = {}) => {
    const folder = project(t, { 'wrangler.json': JSON.stringify({ ...minimal, ...extra }), ...files })
    const bundle = await bundleWorker(readConfig(findConfig(folder)).config, folder)
    return { ...bundle, code: Buffer.from(bundle.main.content).toString() }
  }
  const entry = 'export default { fetch() { return new Response(WORD) } }'
  assert.match((await build({ 'index.js': entry }, { define: { WORD: '"defined"' } })).code, /"defined"/)
  const aliased = { 'index.js': 'import w from "word"; export default { w }', 'w.js': 'export default "aliased"' }
  assert.match((await build(aliased, { alias: { word: './w.js' } })).code, /"aliased"/)
  const node = await build(
    { 'index.js': 'import fs from "fs"; import { x } from "cloudflare:workers"; export default { fs, x }' },
    { compatibility_flags: ['nodejs_compat'] },
  )
  assert.match(node.code, /from "node:fs"/)
  assert.match(node.code, /from "cloudflare:workers"/)
  const mapped = await build(
    { 'index.ts': 'const word: string = "typed"; export default { word }' },
    { main: 'index.ts', upload_source_maps: true },
  )
  assert.equal(mapped.main.name, 'index.js')
  assert.deepEqual(
    mapped.others.map((module) => [module.name, module.type]),
    [['index.js.map', 'SourceMap']],
  )
  const files = {
    'src/index.js': 'export default {}',
    'src/lang/de.js': 'export default 1',
    'src/node_modules/x.js': '',
  }
  const rules = [{ type: 'ESModule', globs: ['lang/*.js'] }]
  for (const extra of [{ no_bundle: true }, { find_additional_modules: true }]) {
    const found = await build(files, { main: 'src/index.js', rules, ...extra })
    assert.deepEqual(
      found.others.map((module) => module.name),
      ['lang/de.js'],
    )
  }
  const script = await build({
    'index.js': 'import t from "./a.txt"; addEventListener("fetch", () => t)',
    'a.txt': 'text',
  })
  assert.equal(script.format, 'service-worker')
  assert.equal(script.blobs.length, 1)
  assert.match(script.code, new RegExp(script.blobs[0]!.name.replaceAll('$', '\\$')))
})

test('CommonJS code gets what it requires of Node, also where its package has nothing for browsers', async (t) => {
  const folder = project(t, {
    'wrangler.json': JSON.stringify({ ...minimal, compatibility_flags: ['nodejs_compat'] }),
    'index.js': 'import old from "old"; export default old',
    'node_modules/old/package.json': '{ "main": "old.js", "browser": { "stream": false } }',
    'node_modules/old/old.js':
      'exports.kinds = [require("stream").Readable, require("node:path").join, require("fs/promises").open].map((x) => typeof x)',
  })
  const { main } = await bundleWorker(readConfig(findConfig(folder)).config, folder)
  const code = await import(`data:text/javascript,${encodeURIComponent(Buffer.from(main.content).toString())}`)
  assert.deepEqual(code.default.kinds, ['function', 'function', 'function'])
})

test('rules: the first match, a type ends without fallthrough', () => {
  const rules = allRules([{ type: 'Text', globs: ['**/*.md'] }])
  assert.equal(typeFor(rules, '../a/b.md'), 'Text')
  assert.equal(typeFor(rules, './a.txt'), undefined)
  assert.equal(typeFor(rules, './a.wasm?module'), 'CompiledWasm')
  assert.equal(typeFor(allRules(), 'a.txt'), 'Text')
})

test('migrations start after the deployed tag', () => {
  const all = [
    { tag: 'v1', new_sqlite_classes: ['A'] },
    { tag: 'v2', renamed_classes: [{ from: 'A', to: 'B' }] },
  ]
  assert.equal(migrationsAfter(undefined, undefined), undefined)
  assert.equal(migrationsAfter(all, 'v2'), undefined)
  assert.deepEqual(migrationsAfter(all, 'v1'), {
    old_tag: 'v1',
    new_tag: 'v2',
    steps: [{ renamed_classes: [{ from: 'A', to: 'B' }] }],
  })
  assert.equal(migrationsAfter(all, undefined)!.steps.length, 2)
  assert.throws(() => migrationsAfter(all, 'v0'), /at migration "v0"/)
})

test('assets: hashes, ignored files, instructions', (t) => {
  const folder = project(t, {
    'public/a b.html': 'x',
    'public/sub/é.txt': 'y',
    'public/secret/k': 'z',
    'public/.assetsignore': 'secret\n',
    'public/_headers': 'H',
    'public/_redirects': 'R',
  })
  const assets = readAssets(join(folder, 'public'))
  assert.deepEqual(
    assets.files.map((file) => file.path),
    ['/a%20b.html', '/sub/%C3%A9.txt'],
  )
  assert.deepEqual([assets.headersFile, assets.redirectsFile], ['H', 'R'])
  assert.match(assetHash(Buffer.from('x'), 'a.html'), /^[0-9a-f]{32}$/)
  const worker = project(t, { '_worker.js': '' })
  assert.throws(() => readAssets(worker), /_worker\.js would be served as a file/)
  assert.throws(() => readAssets(join(folder, 'gone')), /is no folder/)
})

test('rimward deploy makes the calls that wrangler makes', async (t) => {
  for (const singleFiles of [false, true]) {
    const { calls, url } = await platform(t, singleFiles)
    const env = { RIMWARD_TOKEN: 'token' }
    const { code, out, err } = await runCli(['deploy', app('everything'), '--api', url, '--json'], { env })
    assert.equal(err, '')
    assert.equal(code, 0)
    assert.deepEqual(JSON.parse(out), {
      name: 'everything',
      version: 'version-1',
      urls: ['http://everything.localhost:8080/'],
    })
    const upload = singleFiles
      ? /^POST \/workers\/assets\/upload\/[0-9a-f]{32}$/
      : /^POST \/workers\/assets\/upload\?base64=true$/
    const expected = [
      /^GET \/client\/v4\/accounts$/,
      /^GET \/workers\/services\/everything$/,
      /^GET \/workers\/scripts\/everything\/settings$/,
      /^GET \/storage\/kv\/namespaces\?/,
      /^POST \/storage\/kv\/namespaces$/,
      /^POST \/workers\/scripts\/everything\/assets-upload-session$/,
      upload,
      /^PUT \/workers\/scripts\/everything\?excludeScript=true&bindings_inherit=strict$/,
      /^POST \/workers\/scripts\/everything\/subdomain$/,
      /^GET \/rimward\/v1\/status$/,
    ]
    const seen = calls.map((call) => `${call.method} ${call.path}`)
    assert.equal(seen.length, expected.length, seen.join('\n'))
    for (const [index, pattern] of expected.entries()) assert.match(seen[index]!, pattern)
    assert.match(calls[6]!.token, /^Bearer h\./)
    const put = calls.find((call) => call.method === 'PUT')!
    assert.equal(put.token, 'Bearer token')
    const metadata = JSON.parse((put.body as { metadata: string }).metadata)
    assert.deepEqual(metadata.assets, { jwt: 'complete', config: { run_worker_first: ['/api/*'] } })
    assert.deepEqual(
      metadata.bindings.find((one: { name: string }) => one.name === 'NOTES'),
      { name: 'NOTES', type: 'kv_namespace', namespace_id: 'made' },
    )
  }
})

test('routes and custom domains are connected; a refusal is shown with its code', async (t) => {
  const { calls, url } = await platform(t, false)
  const env = { RIMWARD_TOKEN: 'token' }
  const routes = [
    'shop.example/a/*',
    { pattern: 'shop.example/b/*', zone_name: 'shop.example' },
    { pattern: 'app.example', custom_domain: true },
  ]
  const folder = project(t, {
    'wrangler.json': JSON.stringify({ ...minimal, routes }),
    'index.js': 'export default {}',
  })
  const { out } = await runCli(['deploy', '--api', url], { env, cwd: folder })
  assert.match(out, /Deployed version version-1\n {2}shop\.example\/a\/\*\n/)
  const bodyOf = (end: string): unknown => calls.find((call) => call.path.endsWith(end))!.body
  assert.deepEqual(bodyOf('/subdomain'), { enabled: false })
  assert.deepEqual(bodyOf('/routes'), [
    { pattern: 'shop.example/a/*' },
    { pattern: 'shop.example/b/*', zone_name: 'shop.example' },
  ])
  assert.deepEqual((bodyOf('/domains/records') as { origins: unknown }).origins, [{ hostname: 'app.example' }])
  const refused = await runCli(['deploy', '--name', 'refused', '--api', url], { env, cwd: folder })
  assert.deepEqual([refused.code, refused.err], [1, 'rimward: Uncaught Error: no [code: 10021]\n'])
})

test('schedules and queues are set as wrangler sets them', async (t) => {
  const { calls, url } = await platform(t, false)
  const queues = {
    producers: [
      { binding: 'NEW', queue: 'new', delivery_delay: 5 },
      { binding: 'MAIL', queue: 'mail' },
    ],
    consumers: [
      { queue: 'mail', max_batch_size: 5, max_batch_timeout: 2, dead_letter_queue: 'dead' },
      { queue: 'post' },
    ],
  }
  const folder = project(t, {
    'wrangler.json': JSON.stringify({
      ...{ ...minimal, queues, triggers: { crons: ['*/5 * * * *'] } },
      analytics_engine_datasets: [{ binding: 'AE' }],
    }),
    'index.js': 'export default {}',
  })
  const deployed = await runCli(['deploy', '--api', url], { env: { RIMWARD_TOKEN: 'token' }, cwd: folder })
  assert.match(deployed.out, /\n {2}schedule: \*\/5 \* \* \* \*\n {2}consumer for mail\n {2}consumer for post\n$/)
  const told = calls
    .filter(({ method, path }) => method !== 'GET' && /queues|schedules/.test(path))
    .map(({ method, path, body }) => [method, path, body])
  const settings = { batch_size: 5, max_wait_time_ms: 2000 }
  assert.deepEqual(told, [
    ['POST', '/queues', { queue_name: 'new' }],
    ['PUT', '/workers/scripts/a/schedules', [{ cron: '*/5 * * * *' }]],
    ['PUT', '/queues/id-mail/consumers/c1', { type: 'worker', script_name: 'a', dead_letter_queue: 'dead', settings }],
    ['POST', '/queues/id-post/consumers', { type: 'worker', script_name: 'a', settings: {} }],
  ])
  const put = calls.find(({ method, path }) => method === 'PUT' && path.includes('excludeScript'))!
  assert.deepEqual(JSON.parse((put.body as { metadata: string }).metadata).bindings, [
    { name: 'NEW', type: 'queue', queue_name: 'new', delivery_delay: 5 },
    { name: 'MAIL', type: 'queue', queue_name: 'mail' },
    { name: 'AE', type: 'analytics_engine', dataset: 'AE' },
  ])
})
