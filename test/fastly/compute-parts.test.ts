/** What a Compute service has beside its package, with the unmodified CLI; and what its program writes. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'
import { forCli, startComputePlatform } from '../support/compute-platform.ts'
import { fastly, fastlyProcess } from '../support/fastly.ts'
import { until } from '../support/node.ts'
import { packageOf } from '../support/tar.ts'

const smallPackage = packageOf([
  { name: 'p/fastly.toml', content: 'name = "p"\n' },
  { name: 'p/bin/main.wasm', content: Buffer.from('0061736d01000000', 'hex') },
])

test('backends, checks, domains, dictionaries, links and log endpoints become a program', async (t) => {
  const platform = await startComputePlatform(t)
  const cli = async (...args: string[]) => (await fastly(forCli(platform), args)).output
  const created = await cli('service', 'create', '--name', 'Parts', '--type', 'wasm')
  const id = /Created service (\w+)/.exec(created)![1]!
  const on = ['--service-id', id, '--version', '1']
  await platform.call('PUT', `/service/${id}/version/1/package`, { body: smallPackage })
  await cli('service', 'domain', 'create', ...on, '--name', 'parts.example.test')
  await cli('service', 'domain', 'validate', ...on, '--name', 'parts.example.test')
  await cli('service', 'healthcheck', 'create', ...on, '--name', 'up', '--path', '/up')
  const backend = ['service', 'backend', 'create', ...on, '--name', 'o', '--address', 'o.example.test']
  await cli(...backend, '--port', '443', '--healthcheck', 'up')
  await cli('service', 'backend', 'update', ...on, '--name', 'o', '--first-byte-timeout', '3000')
  await cli('service', 'dictionary', 'create', ...on, '--name', 'moved')
  const https = [
    'service',
    'logging',
    'https',
    'create',
    ...on,
    '--name',
    'collector',
    '--url',
    'https://logs.example.test',
  ]
  await cli(...https, '--header-name', 'x-key', '--header-value', 'abc')
  await cli('service', 'logging', 'syslog', 'create', ...on, '--name', 'far', '--address', 'logs.example.test')
  assert.match(await cli('service', 'logging', 'https', 'list', ...on), /collector/)
  const s3 = ['service', 'logging', 's3', 'create', ...on, '--name', 'b', '--bucket', 'b']
  const refused = await fastly(forCli(platform), [...s3, '--access-key', 'a', '--secret-key', 's'], { mayFail: true })
  assert.match(refused.output, /Log endpoints of kinds other than https and syslog are not supported/)

  const ids = new Map<string, string>()
  const make = async (path: string, body: RequestInit) =>
    JSON.parse((await platform.call('POST', `/resources/${path}`, body)).body).id as string
  ids.set('settings', await make('stores/config', { body: new URLSearchParams({ name: 'settings' }) }))
  ids.set('notes', await make('stores/kv', { body: '{"name":"notes"}' }))
  ids.set('keys', await make('stores/secret', { body: '{"name":"keys"}' }))
  ids.set('visitors', await make('acls', { body: '{"name":"visitors"}' }))
  for (const [name, store] of ids)
    await cli('service', 'resource-link', 'create', ...on, '--resource-id', store, '--name', name)
  assert.match(await cli('service', 'resource-link', 'list', ...on), /visitors/)
  const twice = ['service', 'resource-link', 'create', ...on, '--resource-id', ids.get('keys')!, '--name', 'keys']
  assert.match((await fastly(forCli(platform), twice, { mayFail: true })).output, /Duplicate resource link/)
  const nowhere = ['service', 'resource-link', 'create', ...on, '--resource-id', 'nowhere', '--name', 'n']
  assert.match((await fastly(forCli(platform), nowhere, { mayFail: true })).output, /no store 'nowhere'/)

  await cli('service', 'version', 'validate', ...on)
  await cli('service', 'version', 'activate', ...on)
  const program = platform.control.snapshot.programs.get('parts')!
  const { compute } = program.rollout[0]!.deployment
  const [origin] = compute!.backends
  assert.deepEqual(
    [origin?.url, origin?.firstByteTimeoutMs, origin?.healthCheck?.path],
    ['https://o.example.test:443', 3000, '/up'],
  )
  assert.deepEqual(
    compute!.stores.map(({ kind, name, store }) => [kind, name, store]),
    [
      ['config', 'settings', ids.get('settings')],
      ['kv', 'notes', ids.get('notes')],
      ['secret', 'keys', ids.get('keys')],
      ['access-list', 'visitors', ids.get('visitors')],
    ],
  )
  assert.deepEqual(compute!.logs, [
    { kind: 'http', name: 'collector', url: 'https://logs.example.test', method: 'POST', header: ['x-key', 'abc'] },
    { kind: 'syslog', name: 'far', host: 'logs.example.test', port: 514, tls: false },
  ])

  // A dictionary's items reach the program without a new version, and without a new deployment.
  const { deployment } = program.rollout[0]!
  const table = JSON.parse((await platform.call('GET', `/service/${id}/version/1/dictionary`)).body)[0].id
  const entry = ['service', 'dictionary-entry', 'create', '--service-id', id, '--dictionary-id', table]
  await cli(...entry, '--key', '/old', '--value', '/new')
  const after = platform.control.snapshot.programs.get('parts')!
  assert.deepEqual(after.lookups?.tables, { moved: { '/old': '/new' } })
  assert.equal(after.rollout[0]!.deployment.id, deployment.id)

  assert.match(await cli('service', 'search', '--name', 'Parts'), new RegExp(id))
  assert.match(await cli('whoami'), /admin@localhost/)
  await cli('service', 'purge', '--all', '--service-id', id)
  await cli('config-store', 'list-services', '--store-id', ids.get('settings')!)
  const rule = [
    'service',
    'vcl',
    'condition',
    'create',
    ...on,
    '--name',
    'c',
    '--type',
    'REQUEST',
    '--statement',
    'true',
  ]
  assert.match((await fastly(forCli(platform), [...rule, '--autoclone'], { mayFail: true })).output, /not supported/)
  const product = await platform.call('PUT', `/enabled-products/v1/fanout/services/${id}`, { body: '{}' })
  assert.match(product.body, /'fanout' is not supported/)
  assert.deepEqual(platform.bugs, [])
})

test('log-tail shows what the program writes, as it writes it', async (t) => {
  const platform = await startComputePlatform(t)
  const { body } = await platform.call('POST', '/service', {
    body: new URLSearchParams({ name: 'loud', type: 'wasm' }),
  })
  const { id } = JSON.parse(body)
  assert.equal(platform.output.wanted('loud'), false)
  const { command, args, env, cwd } = fastlyProcess(forCli(platform), ['log-tail', '--service-id', id])
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const exited = new Promise((resolve) => child.once('exit', resolve))
  t.after(async () => {
    child.kill('SIGKILL')
    await exited
  })
  let shown = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (shown += chunk))
  await until(() => platform.output.wanted('loud'), `somebody listens: ${shown}`)
  const write = (stream: string, message: string) =>
    platform.output.write('loud', { stream, requestId: 'r1', at: Date.now(), message })
  write('stdout', 'a first line')
  await until(() => shown.includes('a first line'), 'the first line is shown')
  write('stderr', 'another line')
  await until(() => shown.includes('another line'), 'the second line is shown')
  assert.match(shown, /stdout.*a first line/)
  assert.deepEqual(platform.bugs, [])
})

test('versions beyond the cap fall off, the oldest first, never the active one', async (t) => {
  const platform = await startComputePlatform(t, { limits: { serviceVersions: 3 } })
  const { body } = await platform.call('POST', '/service', { body: new URLSearchParams({ name: 'p', type: 'wasm' }) })
  const { id } = JSON.parse(body)
  const numbers = () => platform.control.services.service(id).versions.map(({ number }) => number)
  await platform.call('PUT', `/service/${id}/version/1/package`, { body: smallPackage })
  await platform.call('PUT', `/service/${id}/version/1/activate`)
  for (let n = 1; n <= 4; n++) await platform.call('PUT', `/service/${id}/version/1/clone`)
  assert.deepEqual(numbers(), [1, 4, 5])
  assert.equal((await platform.call('GET', `/service/${id}/version/2/package`)).status, 404)
  assert.equal((await platform.call('GET', `/service/${id}/version/5/package`)).status, 200)
})

test('names that the CLI makes up leave the local name; names of people take it', async (t) => {
  const platform = await startComputePlatform(t)
  const { body } = await platform.call('POST', '/service', { body: new URLSearchParams({ name: 'p', type: 'wasm' }) })
  const { id } = JSON.parse(body)
  const serve = async (version: number, domain: string) => {
    const at = `/service/${id}/version/${version}`
    await platform.call('PUT', `${at}/package`, { body: smallPackage })
    await platform.call('POST', `${at}/domain`, { body: new URLSearchParams({ name: domain }) })
    await platform.call('PUT', `${at}/activate`)
    await platform.call('PUT', `${at}/clone`)
    return [...platform.control.snapshot.sites][0]!.hostnames
  }
  assert.deepEqual(await serve(1, 'three.small.words.edgecompute.app'), [
    'p.localhost',
    'three.small.words.edgecompute.app',
  ])
  assert.equal((await serve(2, 'p.example.test')).includes('p.localhost'), false)
})

test('calls at the same time lose nothing', async (t) => {
  const platform = await startComputePlatform(t)
  const { body } = await platform.call('POST', '/service', { body: new URLSearchParams({ name: 'p', type: 'wasm' }) })
  const at = `/service/${JSON.parse(body).id}/version/1`
  const names = Array.from({ length: 20 }, (_, n) => `b${n}`)
  const answers = await Promise.all([
    ...names.map((name) =>
      platform.call('POST', `${at}/backend`, { body: new URLSearchParams({ name, address: 'o.test' }) }),
    ),
    ...[1, 2, 3].map(() => platform.call('PUT', `${at}/package`, { body: smallPackage })),
  ])
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200])
  await platform.call('PUT', `${at}/activate`)
  const { compute } = platform.control.snapshot.programs.get('p')!.rollout[0]!.deployment
  assert.deepEqual(compute!.backends.map(({ name }) => name).sort(), names.sort())
})
