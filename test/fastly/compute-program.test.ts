/** A JavaScript program of the vendor's SDK, deployed, reading every store and writing for people, on a real node. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { symlink } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fastly, fastlyProcess } from '../support/fastly.ts'
import { rimward, root, startNode, until } from '../support/node.ts'
import { writeProject } from '../support/project.ts'

const program = `
import { Acl } from 'fastly:acl'
import { ConfigStore } from 'fastly:config-store'
import { Dictionary } from 'fastly:dictionary'
import { KVStore } from 'fastly:kv-store'
import { Logger } from 'fastly:logger'
import { SecretStore } from 'fastly:secret-store'
addEventListener('fetch', (event) => event.respondWith(handle()))
async function handle() {
  const notes = new KVStore('notes')
  const first = await notes.get('first/one')
  await notes.put('written', 'by the program')
  const secret = await new SecretStore('keys').get('token')
  const entry = await (await Acl.open('visitors')).lookup('192.0.2.9')
  const origin = await fetch('http://origin.example.test/', { backend: 'origin' })
  console.log('a line for people')
  new Logger('collector').log('a line for the endpoint')
  return Response.json({
    config: new ConfigStore('settings').get('greeting'),
    dictionary: new Dictionary('moved').get('/old'),
    kv: [await first.text(), first.metadataText()],
    secret: secret.plaintext(),
    action: entry?.action,
    origin: await origin.text(),
  })
}
`

const manifest = (port: number) => `name = "reader"
language = "javascript"
[scripts]
build = "js-compute-runtime src/index.js bin/main.wasm"
[local_server.backends.origin]
url = "http://127.0.0.1:${port}"
[local_server.config_stores.settings]
format = "inline-toml"
contents = { greeting = "hi" }
[local_server.dictionaries.moved]
format = "inline-toml"
contents = { "/old" = "/new" }
[[local_server.kv_stores.notes]]
key = "first/one"
data = "one"
metadata = "größe"
[[local_server.secret_stores.keys]]
key = "token"
data = "hunter2"
[local_server.acls]
visitors = "visitors.json"
`

test('a program of the JavaScript SDK reads what rimward deploy filled, and is heard by log-tail', async (t) => {
  const origin = createServer((_request, response) => response.end('from the origin'))
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  t.after(() => origin.close())
  const { port } = origin.address() as AddressInfo
  const node = await startNode(t)
  const folder = await writeProject(t, 'reader', {
    'src/index.js': program,
    'fastly.toml': manifest(port),
    'visitors.json': '{"entries":[{"prefix":"192.0.2.0/24","action":"BLOCK"}]}',
  })
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  const deployed = await rimward(node, folder, ['deploy'])
  assert.equal(deployed.code, 0, deployed.output)
  await rimward(node, folder, ['allow', 'reader', `127.0.0.1:${port}`])

  const { id } = (await (await node.api('/service/search?name=reader')).json()) as { id: string }
  const { command, args, env, cwd } = fastlyProcess(node, ['log-tail', '--service-id', id])
  const tail = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise((resolve) => tail.once('exit', resolve))
  t.after(async () => {
    tail.kill('SIGKILL')
    await ended
  })
  let shown = ''
  for (const stream of [tail.stdout, tail.stderr])
    stream.on('data', (chunk) => {
      shown += chunk
    })
  await until(() => /logging enabled/.test(shown), 'log-tail listens')

  const answer = await node.get('reader.localhost', '/')
  assert.deepEqual(JSON.parse(answer.text), {
    config: 'hi',
    dictionary: '/new',
    kv: ['one', 'größe'],
    secret: 'hunter2',
    action: 'BLOCK',
    origin: 'from the origin',
  })
  await until(() => shown.includes('a line for people') && shown.includes('a line for the endpoint'), `lines: ${shown}`)
  const links = (await (await node.api(`/service/${id}/version/1/resource`)).json()) as Record<string, string>[]
  const store = (name: string) => links.find((link) => link.name === name)!.resource_id!
  const get = ['kv-store-entry', 'get', '--store-id', store('notes'), '--key', 'written']
  assert.match((await fastly(node, get)).output, /by the program/)

  // What changes in a store is read by the next request.
  const change = ['config-store-entry', 'update', '--store-id', store('settings'), '--key', 'greeting']
  await fastly(node, [...change, '--value', 'changed'])
  assert.equal(JSON.parse((await node.get('reader.localhost', '/')).text).config, 'changed')
})
