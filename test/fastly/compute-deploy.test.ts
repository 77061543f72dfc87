/** A Compute program, from a folder to what serves, with the unmodified CLI. */
import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { forCli, startComputePlatform } from '../support/compute-platform.ts'
import { fastly } from '../support/fastly.ts'

/** A module with one function, without imports: what matters here is what becomes of it. */
export const smallModule = Buffer.from(
  '0061736d01000000' + '010401600000' + '03020100' + '070a01065f737461727400' + '00' + '0a040102000b',
  'hex',
)

async function project(folder: string, manifest: string, module: Uint8Array = smallModule): Promise<string> {
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'fastly.toml'), manifest)
  await writeFile(join(folder, 'program.wasm'), module)
  return folder
}

const manifest = `manifest_version = 3
name = "hello"
description = "says hello"
authors = ["me@example.test"]
language = "other"

[scripts]
build = "mkdir -p bin && cp program.wasm bin/main.wasm"

[setup.backends.origin]
address = "127.0.0.1"
port = 8200

[setup.config_stores.settings.items.greeting]
value = "hi"

[setup.kv_stores.notes.items.first]
value = "one"

[setup.secret_stores.keys]
`

test('compute publish makes a service with its stores; update and activate go on and back', async (t) => {
  const platform = await startComputePlatform(t)
  const node = forCli(platform)
  const cwd = await project(join(platform.data, 'hello'), manifest)
  const cli = (...args: string[]) => fastly(node, args, { cwd })

  const published = await cli('compute', 'publish', '--domain', 'hello.example.test', '--status-check-off')
  assert.match(published.output, /Deployed package \(service (\w+), version 1\)/)
  const id = /service (\w+), version 1/.exec(published.output)![1]!
  const program = platform.control.snapshot.programs.get('hello')!
  const { compute } = program.rollout[0]!.deployment
  assert.deepEqual(compute?.service, { id, version: 1 })
  assert.deepEqual(
    compute?.backends.map(({ name, url }) => [name, url]),
    [['origin', 'http://127.0.0.1:8200']],
  )
  assert.deepEqual(compute?.stores.map(({ kind, name }) => `${kind} ${name}`).sort(), [
    'config settings',
    'kv notes',
    'secret keys',
  ])
  const store = (kind: string) => compute!.stores.find((one) => one.kind === kind)!.store
  assert.equal(await platform.config.get(store('config'), 'greeting'), 'hi')
  assert.equal(Buffer.from((await platform.kv.get(store('kv'), 'first'))!.value).toString(), 'one')
  assert.deepEqual(await platform.fabric.blobs.get(compute!.module), smallModule)
  assert.deepEqual(
    platform.control.snapshot.sites.map(({ hostnames, target }) => [hostnames, target]),
    [[['hello.example.test'], { kind: 'program', program: 'hello' }]],
  )

  assert.match((await cli('compute', 'deploy', '--status-check-off')).output, /Skipping package deployment/)
  await writeFile(join(cwd, 'fastly.toml'), `${await readFile(join(cwd, 'fastly.toml'), 'utf8')}\n# changed\n`)
  await cli('compute', 'build')
  assert.match((await cli('compute', 'deploy', '--status-check-off')).output, /version 2/)
  assert.equal(platform.control.snapshot.programs.get('hello')!.rollout[0]!.deployment.compute!.service.version, 2)
  await cli('service', 'version', 'activate', '--version', '1', '--service-id', id)
  assert.equal(platform.control.snapshot.programs.get('hello')!.rollout[0]!.deployment.compute!.service.version, 1)

  const pkg = join(cwd, 'pkg/hello.tar.gz')
  await cli('compute', 'update', '--package', pkg, '--version', 'active', '--autoclone', '--service-id', id)
  assert.match((await cli('service', 'version', 'list', '--service-id', id)).output, /3/)
  assert.match((await cli('compute', 'validate', '--package', pkg)).output, /Validated package/)
  const hashed = (await cli('compute', 'hash-files', '--package', pkg)).output
  const shown = JSON.parse((await platform.call('GET', `/service/${id}/version/3/package`)).body)
  assert.match(hashed, new RegExp(shown.metadata.files_hash))
  assert.deepEqual(
    [shown.metadata.name, shown.metadata.language, shown.metadata.authors],
    ['hello', 'other', ['me@example.test']],
  )

  await cli('service', 'version', 'deactivate', '--version', 'active', '--service-id', id)
  assert.deepEqual([...platform.control.snapshot.programs.keys()], [])
  await cli('service', 'delete', '--force', '--service-id', id)
  assert.deepEqual(platform.control.services.all(), [])
  assert.deepEqual(platform.bugs, [])
})
