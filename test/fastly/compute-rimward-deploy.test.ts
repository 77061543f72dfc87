/** `rimward deploy` of a folder with a `fastly.toml`, to a real node, without the CLI. */
import assert from 'node:assert/strict'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { fastly } from '../support/fastly.ts'
import { rimward, startNode } from '../support/node.ts'
import { writeProject } from '../support/project.ts'
import { smallProgram } from '../support/small-program.ts'

const manifest = `# A comment that stays.
manifest_version = 3
name = "my-api"
language = "other"

[scripts]
build = "mkdir -p bin && cp program.wasm bin/main.wasm"

[setup.backends.origin]
address = "origin.example.test"
[setup.config_stores.settings.items.greeting]
value = "hi"
[setup.config_stores.settings.items.other]
value = "there"
[setup.secret_stores.keys.entries.token]
description = "of the origin"
[setup.log_endpoints.collector]
provider = "https"

[local_server.backends.origin]
url = "https://127.0.0.1:8443"
override_host = "origin.example.test"
[local_server.config_stores.settings]
format = "inline-toml"
[local_server.config_stores.settings.contents]
greeting = "hi, local"
[local_server.dictionaries.moved]
format = "json"
file = "moved.json"
[[local_server.kv_stores.notes]]
key = "first/one"
data = "one"
metadata = "größe"
[[local_server.kv_stores.notes]]
key = "second"
file = "second.txt"
[[local_server.secret_stores.keys]]
key = "from-env"
env = "MY_SECRET"
[local_server.acls]
visitors = "visitors.json"
`

test('a folder is built, its stores are filled, and it serves', async (t) => {
  const node = await startNode(t)
  const folder = await writeProject(t, 'my-api', {
    'fastly.toml': manifest,
    'program.wasm': await smallProgram('first'),
    'moved.json': '{"/old":"/new"}',
    'second.txt': 'two',
    'visitors.json': '{"entries":[{"prefix":"192.0.2.0/24","action":"BLOCK"}]}',
  })
  process.env.MY_SECRET = 'hunter2'
  t.after(() => delete process.env.MY_SECRET)

  const first = await rimward(node, folder, ['deploy'])
  assert.equal(first.code, 0, first.output)
  assert.match(first.output, /Building: mkdir -p bin/)
  assert.match(first.output, /Deployed version 1\n {2}http:\/\/my-api\.localhost:\d+\//)
  assert.match(first.output, /The secret keys\/token has no value here/)
  assert.match(first.output, /The log endpoint collector is for you to make/)
  assert.equal((await node.get('my-api.localhost', '/')).text, 'first')

  // biome-ignore lint/suspicious/noExplicitAny: answers differ by call, and the test looks into them freely
  const json = async (path: string): Promise<any> => (await node.api(path)).json()
  const { id } = await json('/service/search?name=my-api')
  const version = `/service/${id}/version/1`
  const [origin] = await json(`${version}/backend`)
  assert.deepEqual(
    [origin.address, origin.port, origin.use_ssl, origin.override_host, origin.ssl_sni_hostname],
    ['127.0.0.1', 8443, true, 'origin.example.test', 'origin.example.test'],
  )
  const links = (await json(`${version}/resource`)) as { name: string; resource_type: string; resource_id: string }[]
  const idOf = (name: string) => links.find((link) => link.name === name)!.resource_id
  assert.deepEqual(links.map((link) => `${link.resource_type} ${link.name}`).sort(), [
    'acl visitors',
    'config settings',
    'kv-store notes',
    'secret-store keys',
  ])
  const items = async () =>
    ((await json(`/resources/stores/config/${idOf('settings')}/items`)) as { item_key: string; item_value: string }[])
      .map(({ item_key, item_value }) => `${item_key}=${item_value}`)
      .sort()
  assert.deepEqual(await items(), ['greeting=hi, local', 'other=there'])
  const notes = `/resources/stores/kv/${idOf('notes')}/keys`
  const one = await node.api(`${notes}/first%2Fone`)
  assert.deepEqual([await one.text(), Buffer.from(one.headers.get('metadata')!, 'latin1').toString()], ['one', 'größe'])
  assert.equal(await (await node.api(`${notes}/second`)).text(), 'two')
  assert.deepEqual(
    (await json(`/resources/stores/secret/${idOf('keys')}/secrets`)).data.map((one: { name: string }) => one.name),
    ['from-env'],
  )
  assert.deepEqual((await json(`/resources/acls/${idOf('visitors')}/entries`)).entries, [
    { prefix: '192.0.2.0/24', action: 'BLOCK' },
  ])
  const [moved] = await json(`${version}/dictionary`)
  assert.equal((await json(`/service/${id}/dictionary/${moved.id}/item/%2Fold`)).item_value, '/new')

  // Again: what people changed in stores of [setup] stays, [local_server] is written anew, and the version before is the way back.
  await fastly(node, [
    'config-store-entry',
    'update',
    '--store-id',
    idOf('settings'),
    '--key',
    'other',
    '--value',
    'mine',
  ])
  await mkdir(join(folder, 'bin'), { recursive: true })
  await writeFile(join(folder, 'bin/main.wasm'), await smallProgram('second'))
  const second = await rimward(node, folder, ['deploy', '--json', '--message', 'again'])
  assert.equal(second.code, 0, second.output)
  assert.match(second.output, /"name":"my-api","version":2/)
  assert.equal((await node.get('my-api.localhost', '/')).text, 'second')
  assert.deepEqual(await items(), ['greeting=hi, local', 'other=mine'])
  await fastly(node, ['service', 'version', 'activate', '--service-id', id, '--version', '1'])
  assert.equal((await node.get('my-api.localhost', '/')).text, 'first')

  // What cannot be used changes nothing.
  await writeFile(join(folder, 'bin/main.wasm'), 'no module')
  const bad = await rimward(node, folder, ['deploy'])
  assert.deepEqual([bad.code, /bin\/main.wasm is not WebAssembly/.test(bad.output)], [1, true], bad.output)
  const other = await rimward(node, folder, ['deploy', '--name', 'other'])
  assert.equal(other.code, 1)
  assert.equal((await node.api('/service/search?name=other')).status, 404, 'the new service is gone again')
  assert.equal((await node.get('my-api.localhost', '/')).text, 'first')
  await rm(join(folder, 'bin'), { recursive: true })
  await writeFile(join(folder, 'fastly.toml'), manifest.replace(/build = .*/, 'build = "exit 3"'))
  assert.match((await rimward(node, folder, ['deploy'])).output, /build command "exit 3" failed \(exit code 3\)/)

  await node.stop('SIGKILL')
  const again = await startNode(t, { data: node.data })
  assert.equal((await again.get('my-api.localhost', '/')).text, 'first', 'it serves after the node was killed')
  const kept = await again.api(`/resources/stores/config/${idOf('settings')}/item/other`)
  assert.equal(((await kept.json()) as { item_value: string }).item_value, 'mine')
})
