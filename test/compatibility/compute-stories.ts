/** Proofs of the compatibility page for Fastly Compute: the unmodified CLI on a running node. */
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fastly } from '../support/fastly.ts'
import { rimward, until, wrangler } from '../support/node.ts'
import { healthProgram, smallProgram } from '../support/small-program.ts'
import { type Site, type Story, small } from './site.ts'

const manifest = `manifest_version = 3
name = "compat-compute"
language = "other"
[scripts]
build = "mkdir -p bin && cp program.wasm bin/main.wasm"
[setup.backends.origin]
address = "origin.example.test"
`

async function project(site: Site, name = 'compute'): Promise<string> {
  const folder = join(site.folder, name)
  if (existsSync(folder)) return folder
  mkdirSync(folder)
  writeFileSync(join(folder, 'fastly.toml'), manifest.replace('compat-compute', `compat-${name}`))
  writeFileSync(join(folder, 'program.wasm'), await smallProgram('from wasm'))
  return folder
}

/** The service, made by the first story that needs it. */
async function service(site: Site): Promise<{ readonly id: string; readonly folder: string }> {
  const folder = await project(site)
  const find = async () =>
    (await site.node.api('/service/search?name=compat-compute')).json() as Promise<{ id?: string }>
  if ((await find()).id === undefined)
    await fastly(site.node, ['compute', 'publish', '--domain', 'compute.example.test', '--status-check-off'], {
      cwd: folder,
    })
  return { id: (await find()).id!, folder }
}

/** The one thing that a command prints as JSON. */
async function made(site: Site, ...args: string[]): Promise<string> {
  const { output } = await fastly(site.node, [...args, '--json'])
  const shown = JSON.parse(output) as Record<string, string>
  return shown.id ?? shown.StoreID ?? ''
}

async function refuses(site: Site, says: RegExp, ...args: string[]): Promise<void> {
  const ran = await fastly(site.node, args, { mayFail: true })
  assert.notEqual(ran.code, 0)
  assert.match(ran.output, says)
}

export const computeStories: Record<string, Story> = {
  async 'compute publish'(site) {
    await service(site)
    assert.equal((await site.node.get('compute.example.test', '/')).text, 'from wasm')
  },
  async 'compute build'(site) {
    const folder = await project(site, 'built')
    await fastly(site.node, ['compute', 'build'], { cwd: folder })
    const pkg = join(folder, 'pkg/compat-built.tar.gz')
    assert.match((await fastly(site.node, ['compute', 'validate', '--package', pkg])).output, /Validated/)
    assert.match((await fastly(site.node, ['compute', 'hash-files', '--package', pkg])).output, /[0-9a-f]{128}/)
    mkdirSync(join(site.folder, 'initialised'))
    await fastly(site.node, ['compute', 'init', '--from', folder, '--language', 'other'], {
      cwd: join(site.folder, 'initialised'),
    })
    assert.equal(existsSync(join(site.folder, 'initialised/fastly.toml')), true)
  },
  async 'compute versions'(site) {
    const { id, folder } = await service(site)
    writeFileSync(join(folder, 'program.wasm'), await smallProgram('second'))
    await fastly(site.node, ['compute', 'publish', '--status-check-off'], { cwd: folder })
    assert.equal((await site.node.get('compute.example.test', '/')).text, 'second')
    await fastly(site.node, ['service', 'version', 'activate', '--service-id', id, '--version', '1'])
    assert.equal((await site.node.get('compute.example.test', '/')).text, 'from wasm')
    const pkg = join(folder, 'pkg/compat-compute.tar.gz')
    const on = ['--service-id', id, '--version', 'latest', '--autoclone']
    await fastly(site.node, ['compute', 'update', '--package', pkg, ...on])
  },
  async 'compute staging'(site) {
    const { id, folder } = await service(site)
    const ask = async (headers: Record<string, string>) =>
      (await site.node.get('compute.example.test', '/', { headers })).text
    writeFileSync(join(folder, 'program.wasm'), await smallProgram('staged'))
    await fastly(site.node, ['compute', 'build'], { cwd: folder })
    const pkg = join(folder, 'pkg/compat-compute.tar.gz')
    const on = ['--service-id', id, '--version', 'latest', '--autoclone']
    await fastly(site.node, ['compute', 'update', '--package', pkg, ...on])
    const latest = ['--service-id', id, '--version', 'latest']
    await fastly(site.node, ['service', 'version', 'stage', ...latest])
    assert.deepEqual([await ask({}), await ask({ 'rimward-staging': '1' })], ['from wasm', 'staged'])
    await fastly(site.node, ['service', 'version', 'unstage', ...latest])
    assert.equal(await ask({ 'rimward-staging': '1' }), 'from wasm')
    const bad = await site.node.api(`/service/${id}/version/1/activate/staging`, { method: 'PUT' })
    assert.equal(bad.status, 409, 'the active version cannot be staged')
  },
  async 'compute bad package'(site) {
    const { id } = await service(site)
    await fastly(site.node, ['service', 'version', 'clone', '--service-id', id, '--version', 'active'])
    const { length: latest } = (await (await site.node.api(`/service/${id}/version`)).json()) as object[]
    const answer = await site.node.api(`/service/${id}/version/${latest}/package`, {
      method: 'PUT',
      body: 'no package',
    })
    assert.deepEqual([answer.status, ((await answer.json()) as { msg: string }).msg], [400, 'Invalid package'])
    assert.equal((await site.node.get('compute.example.test', '/')).text, 'from wasm')
  },
  async 'compute config stores'(site) {
    const id = await made(site, 'config-store', 'create', '--name', 'compat')
    const on = ['--store-id', id, '--key', 'a']
    await fastly(site.node, ['config-store-entry', 'create', ...on, '--value', 'one'])
    assert.match((await fastly(site.node, ['config-store-entry', 'describe', ...on])).output, /one/)
  },
  async 'compute kv stores'(site) {
    const id = await made(site, 'kv-store', 'create', '--name', 'compat')
    const on = ['--store-id', id, '--key', 'a']
    await fastly(site.node, ['kv-store-entry', 'create', ...on, '--value', 'one'])
    await fastly(site.node, ['kv-store-entry', 'create', ...on, '--value', ' two', '--append'])
    assert.match((await fastly(site.node, ['kv-store-entry', 'get', ...on])).output, /one two/)
  },
  async 'compute secret stores'(site) {
    const id = await made(site, 'secret-store', 'create', '--name', 'compat')
    const on = ['--store-id', id, '--name', 's']
    await fastly(site.node, ['secret-store-entry', 'create', ...on, '--stdin'], { input: 'hunter2' })
    assert.doesNotMatch((await fastly(site.node, ['secret-store-entry', 'describe', ...on])).output, /hunter2/)
  },
  async 'compute access lists'(site) {
    const id = await made(site, 'compute', 'acl', 'create', '--name', 'compat')
    const entry = ['--operation', 'create', '--prefix', '192.0.2.0/24', '--action', 'BLOCK']
    await fastly(site.node, ['compute', 'acl', 'update', '--acl-id', id, ...entry])
    const lookup = ['compute', 'acl', 'lookup', '--acl-id', id, '--ip', '192.0.2.1']
    assert.match((await fastly(site.node, lookup)).output, /BLOCK/)
  },
  async 'compute links'(site) {
    const { id } = await service(site)
    const store = await made(site, 'config-store', 'create', '--name', 'linked')
    const link = ['--resource-id', store, '--name', 'linked']
    const on = ['--service-id', id, '--version', 'latest', '--autoclone']
    await fastly(site.node, ['service', 'resource-link', 'create', ...on, ...link])
    const list = ['service', 'resource-link', 'list', '--service-id', id, '--version', 'latest']
    assert.match((await fastly(site.node, list)).output, /linked/)
  },
  async 'compute logging'(site) {
    const { id } = await service(site)
    const on = ['--service-id', id, '--version', 'latest', '--autoclone', '--name', 'far']
    await fastly(site.node, ['service', 'logging', 'https', 'create', ...on, '--url', 'https://logs.example.test'])
    await fastly(site.node, ['service', 'logging', 'syslog', 'create', ...on, '--address', 'logs.example.test'])
    const kafka = ['service', 'logging', 'kafka', 'create', ...on, '--topic', 't', '--brokers', 'b']
    await refuses(site, /other than https and syslog are not supported/, ...kafka)
  },
  async 'compute log-tail'(site) {
    const { id } = await service(site)
    const path = `/service/${id}/log_stream/managed/instance_output`
    assert.equal((await site.node.api(path, { method: 'POST' })).status, 200)
    const answer = await site.node.api(path)
    assert.match(answer.headers.get('link') ?? '', /from=\d+>; rel="next"/)
  },
  async 'compute products'(site) {
    const { id } = await service(site)
    await refuses(site, /'fanout' is not supported/, 'products', '--service-id', id, '--enable', 'fanout')
  },
  async 'compute stats'(site) {
    const { id } = await service(site)
    await site.node.get('compat-compute.localhost', '/')
    const asked = ['stats', 'historical', '--service-id', id, '--by', 'minute', '--format', 'json']
    const { output } = await fastly(site.node, asked)
    const rows = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, number>)
    assert.ok(
      rows.some((row) => row.requests! >= 1 && row.status_200! >= 1),
      output,
    )
    const channel = (await (await site.node.api(`/v1/channel/${id}/ts/0`)).json()) as { Timestamp: number }
    assert.ok(channel.Timestamp > 1_700_000_000)
    await refuses(
      site,
      /region 'usa' of statistics is not supported/,
      'stats',
      'historical',
      '--service-id',
      id,
      '--region',
      'usa',
    )
  },
  async 'compute health'(site) {
    const folder = await project(site, 'health')
    writeFileSync(join(folder, 'program.wasm'), await healthProgram('checked'))
    const publish = ['compute', 'publish', '--domain', 'health.example.test', '--status-check-off']
    await fastly(site.node, publish, { cwd: folder })
    const found = await site.node.api('/service/search?name=compat-health')
    const { id } = (await found.json()) as { id: string }
    const on = ['--service-id', id, '--version', 'latest']
    const check = ['--window', '1', '--threshold', '1', '--initial', '1', '--check-interval', '1000']
    await fastly(site.node, ['service', 'healthcheck', 'create', ...on, '--autoclone', '--name', 'up', ...check])
    const address = ['--address', '127.0.0.1', '--port', '9', '--healthcheck', 'up']
    await fastly(site.node, ['service', 'backend', 'create', ...on, '--name', 'checked', ...address])
    await fastly(site.node, ['service', 'version', 'activate', ...on])
    const health = async () => (await site.node.get('health.example.test', '/')).text
    await until(async () => (await health()) === '2', 'the check of a port where nobody listens fails')
  },
  async 'compute from a Worker'(site) {
    await service(site)
    const code = `export default { fetch: (request, env) => env.SHOP.fetch(request) }`
    const services = [{ binding: 'SHOP', service: 'compat-compute' }]
    await wrangler(site.node, small(site, 'binds-compute', code, { services }), ['deploy'])
    assert.equal((await site.node.get('binds-compute.localhost', '/')).text, 'from wasm')
    const named = small(site, 'binds-named', code, { services: [{ ...services[0], entrypoint: 'Api' }] })
    const ran = await wrangler(site.node, named, ['deploy'], { mayFail: true })
    assert.match(ran.output, /is a Compute program, which has no entrypoint 'Api'/)
  },
  async 'compute rimward deploy'(site) {
    const folder = await project(site, 'plain')
    const ran = await rimward(site.node, folder, ['deploy'])
    assert.equal(ran.code, 0, ran.output)
    assert.equal((await site.node.get('compat-plain.localhost', '/')).text, 'from wasm')
  },
}
