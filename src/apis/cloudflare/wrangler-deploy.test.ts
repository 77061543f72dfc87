/** The real wrangler deploys: first and second time, environments, vars, routes, domains, Durable Objects, delete, whoami. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { openProject, type Project, type TestPlatform, testPlatform } from './platform.fixture.ts'

let platform: TestPlatform
let project: Project

const worker = `
import { DurableObject, WorkerEntrypoint } from 'cloudflare:workers'
import text from './note.txt'
export class Counter extends DurableObject {}
export class Api extends WorkerEntrypoint {}
export default { fetch: () => new Response(text) }
`
const base = {
  name: 'hello',
  main: 'index.js',
  compatibility_date: '2026-11-01',
  compatibility_flags: ['nodejs_compat'],
}

before(async () => {
  platform = await testPlatform()
  project = await openProject(platform, {
    'wrangler.json': JSON.stringify({ ...base, vars: { PLAIN: 'x', OBJECT: { a: 1 } }, upload_source_maps: true }),
    'index.js': worker,
    'note.txt': 'a note',
  })
})
after(async () => {
  await project.remove()
  await platform.close()
})

/** Runs wrangler and expects success; the output is in the message when it fails. */
async function wrangler(...args: string[]): Promise<string> {
  const run = await project.wrangler(args)
  assert.equal(run.code, 0, `wrangler ${args.join(' ')}\n${run.stdout}\n${run.stderr}`)
  return run.stdout
}

async function wranglerFails(...args: string[]): Promise<string> {
  const run = await project.wrangler(args)
  assert.notEqual(run.code, 0, `wrangler ${args.join(' ')} should fail\n${run.stdout}`)
  return run.stdout + run.stderr
}

const configure = (config: object) => project.write('app/wrangler.json', JSON.stringify({ ...base, ...config }))
const served = (name = 'hello') => platform.control.snapshot.programs.get(name)!.rollout[0]!.deployment
const site = (name = 'hello') => platform.control.snapshot.sites.find((site) => site.name === name)

test('deploy --dry-run asks the platform for nothing', async () => {
  assert.match(await wrangler('deploy', '--dry-run'), /--dry-run: exiting now/)
  assert.deepEqual(platform.control.programs(), [])
})

test('the first deploy makes the program and its name', async () => {
  const output = await wrangler('deploy', '--message', 'first')
  assert.match(output, /hello\.localhost/)
  const deployment = served()
  assert.match(output, new RegExp(`Current Version ID: ${deployment.id}`))
  assert.equal(deployment.number, 1)
  assert.equal(deployment.code?.syntax, 'modules')
  assert.equal(deployment.code?.compatibilityDate, '2026-11-01')
  assert.deepEqual(deployment.code?.compatibilityFlags, ['nodejs_compat'])
  assert.deepEqual(deployment.code?.modules.map(({ kind }) => kind).sort(), ['esm', 'text'])
  assert.deepEqual(deployment.bindings, [
    { kind: 'text', name: 'PLAIN', text: 'x' },
    { kind: 'json', name: 'OBJECT', json: '{"a":1}' },
  ])
  assert.deepEqual(site(), {
    name: 'hello',
    hostnames: ['hello.localhost'],
    routes: [],
    target: { kind: 'program', program: 'hello' },
  })
})

test('the second deploy replaces the version, and vars that are gone', async () => {
  await configure({ vars: { OTHER: 'y' } })
  await wrangler('deploy', '--tag', 'v2')
  assert.equal(served().number, 2)
  assert.equal(served().tag, 'v2')
  assert.deepEqual(served().bindings, [{ kind: 'text', name: 'OTHER', text: 'y' }])
})

test('--keep-vars keeps vars of the version before', async () => {
  await configure({ vars: { NEW: 'z' } })
  await wrangler('deploy', '--keep-vars')
  assert.deepEqual(
    served()
      .bindings.map(({ name }) => name)
      .sort(),
    ['NEW', 'OTHER'],
  )
})

test('a named environment is a program of its own, with tags', async () => {
  await configure({ env: { staging: { vars: { WHERE: 'staging' } } } })
  assert.match(await wrangler('deploy', '--env', 'staging'), /hello-staging\.localhost/)
  assert.deepEqual(served('hello-staging').bindings, [{ kind: 'text', name: 'WHERE', text: 'staging' }])
  assert.deepEqual(platform.control.program('hello-staging').tags, ['cf:service=hello', 'cf:environment=staging'])
})

test('routes and custom domains', async () => {
  await configure({
    routes: [
      { pattern: 'example.test/app/*', zone_name: 'example.test' },
      'www.example.test/*',
      { pattern: 'app.example.test', custom_domain: true },
    ],
  })
  const output = await wrangler('deploy')
  assert.match(output, /example\.test\/app\/\*/)
  assert.match(output, /app\.example\.test \(custom domain\)/)
  assert.deepEqual(site()?.routes, ['example.test/app/*', 'www.example.test/*'])
  assert.deepEqual(site()?.hostnames, ['app.example.test'], 'routes switch the name on localhost off')
})

test('triggers deploy changes addresses without a new version', async () => {
  const { number } = served()
  await configure({ workers_dev: true, route: 'other.test/*' })
  await wrangler('triggers', 'deploy')
  assert.equal(served().number, number)
  assert.deepEqual(site()?.routes, ['other.test/*'])
  assert.ok(site()?.hostnames.includes('hello.localhost'))
})

test('schedules are set; one that does not parse leaves them as they were', async () => {
  const crons = () => platform.control.snapshot.programs.get('hello')!.crons
  await configure({ triggers: { crons: ['*/5 * * * *'] } })
  await wrangler('triggers', 'deploy')
  assert.deepEqual(crons(), ['*/5 * * * *'])
  await configure({ triggers: { crons: ['0 0 * * 8'] } })
  assert.match(await wranglerFails('triggers', 'deploy'), /invalid cron string: '0 0 \* \* 8' \[code: 10100\]/)
  assert.deepEqual(crons(), ['*/5 * * * *'])
})

test('Durable Objects by migrations: new, renamed, deleted', async () => {
  const objects = () => platform.control.snapshot.programs.get('hello')!.objects
  const bindings = [{ name: 'COUNTER', class_name: 'Counter' }]
  await configure({ durable_objects: { bindings } })
  assert.match(await wranglerFails('deploy'), /not currently configured to implement Durable Objects.*\[code: 10061\]/s)

  const migrations: object[] = [{ tag: 'v1', new_sqlite_classes: ['Counter'] }]
  await configure({ durable_objects: { bindings }, migrations })
  await wrangler('deploy')
  const [counter] = objects()
  assert.deepEqual([counter?.className, counter?.storage], ['Counter', 'sqlite'])
  await wrangler('deploy')
  assert.deepEqual(objects(), [counter], 'a deploy without a new migration changes nothing')

  migrations.push({ tag: 'v2', renamed_classes: [{ from: 'Counter', to: 'Meter' }] })
  await configure({ durable_objects: { bindings: [{ name: 'METER', class_name: 'Meter' }] }, migrations })
  await project.write('app/index.js', worker.replace('class Counter', 'class Meter'))
  await wrangler('deploy')
  assert.deepEqual(objects(), [{ ...counter, className: 'Meter' }], 'the data stays under its key')

  migrations.push({ tag: 'v3', deleted_classes: ['Meter'] })
  await configure({ migrations })
  await wrangler('deploy')
  assert.deepEqual(objects(), [])
  assert.deepEqual(
    platform.forgotten.map(({ key }) => key),
    [counter?.key],
  )
  assert.equal(platform.control.program('hello').migrationTag, 'v3')
})

test('Durable Objects by exports', async () => {
  await project.write('app/declared/index.js', worker.replace("import text from './note.txt'", "const text = ''"))
  const config = { name: 'declared', exports: { Counter: { type: 'durable-object', storage: 'sqlite' } } }
  await project.write('app/declared/wrangler.json', JSON.stringify({ ...base, ...config }))
  assert.match(await wrangler('deploy', '-c', 'declared/wrangler.json'), /Created: Counter/)
  assert.equal(platform.control.program('declared').objects[0]?.className, 'Counter')
})

test('a binding that is not supported is refused by name', async () => {
  await project.write('app/plain.js', 'export default { fetch() {} }')
  await configure({ main: 'plain.js', vectorize: [{ binding: 'INDEX', index_name: 'pages' }] })
  const output = await wranglerFails('deploy')
  assert.match(output, /vectorize/i)
})

test('service bindings, also to an entrypoint with props; a target that is missing is refused', async () => {
  await configure({ name: 'front', main: 'plain.js', services: [{ binding: 'API', service: 'nobody' }] })
  assert.match(await wranglerFails('deploy'), /Could not resolve service binding 'API'.*\[code: 10143\]/s)
  const services = [{ binding: 'API', service: 'hello', entrypoint: 'Api', props: { role: 'front' } }]
  await configure({ name: 'front', main: 'plain.js', services })
  await wrangler('deploy')
  assert.deepEqual(served('front').bindings, [
    { kind: 'program', name: 'API', program: 'hello', entrypoint: 'Api', props: '{"role":"front"}' },
  ])
})

test('delete warns of who is bound, and --force removes', async () => {
  const { body } = await platform.call('DELETE', `/accounts/${platform.accountId}/workers/services/hello?force=false`)
  assert.match(body.errors[0]!.message, /cannot be deleted: front bound to it/)
  await wrangler('delete', '--name', 'front')
  assert.match(await wrangler('delete', '--name', 'hello', '--force'), /Successfully deleted hello/)
  assert.equal(platform.control.findProgram('hello'), undefined)
  assert.equal(site(), undefined)
})

test('service-worker syntax', async () => {
  await project.write('app/script.js', 'addEventListener("fetch", (event) => event.respondWith(new Response("hi")))')
  await configure({ name: 'script', main: 'script.js', compatibility_flags: [] })
  await wrangler('deploy')
  assert.equal(served('script').code?.syntax, 'script')
})

test('whoami, and a wrong token', async () => {
  assert.match(await wrangler('whoami'), new RegExp(platform.accountId))
  const run = await project.wrangler(['deployments', 'list', '--name', 'script'], {
    env: { CLOUDFLARE_API_TOKEN: 'wrong' },
  })
  assert.notEqual(run.code, 0)
  assert.match(
    run.stdout + run.stderr,
    /Authentication error \[code: 10000\]\s+- This is not the token of this node: run/,
  )
})

test('nothing unexpected happened', async () => {
  assert.deepEqual(platform.bugs, [])
  assert.match(await readFile(join(project.folder, 'app/note.txt'), 'utf8'), /a note/)
})
