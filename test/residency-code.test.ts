/** Code, files with their rules, variables and secrets of programs that stay in their countries: all files elsewhere are searched. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { assemble, program } from '#/engines/compute/compute.fixture.ts'
import { get, temporaryFolder, until } from './support/node.ts'
import { filesWith, ok, type Platform, startPlatform } from './support/three-countries.ts'

const [code, variable, secret, file, header, redirect] = [
  'marker-of-the-code-20c7',
  'marker-of-a-variable-b61e',
  'marker-of-a-secret-93fa',
  'marker-of-a-file-5d08',
  'marker-of-a-header-77e1',
  'marker-of-a-redirect-e4c9',
]
const markers = [code, variable, file, header, redirect]

const source = `export default {
  async fetch(request, env) {
    const page = await env.FILES.fetch('http://files/page.txt')
    const old = await env.FILES.fetch('http://files/old', { redirect: 'manual' })
    const rules = [page.headers.get('x-rule'), old.headers.get('location')].join()
    const words = [request.cf.colo, '${code}', env.VARIABLE, env.LIST.join(), env.SECRET ?? '', rules]
    return new Response([...words, (await page.text()).trim()].join(' '))
  },
}`

async function write({ folder }: Platform, name: string): Promise<void> {
  await mkdir(join(folder, 'files'), { recursive: true })
  await writeFile(join(folder, 'vault.js'), source)
  await writeFile(join(folder, 'files', 'page.txt'), `${file}\n`.repeat(3))
  await writeFile(join(folder, 'files', '_headers'), `/*\n  x-rule: ${header}\n`)
  await writeFile(join(folder, 'files', '_redirects'), `/old /${redirect} 302\n`)
  const config = {
    name,
    main: 'vault.js',
    compatibility_date: '2026-11-01',
    vars: { VARIABLE: variable, LIST: [1, 2] },
    assets: { directory: 'files', binding: 'FILES', run_worker_first: true },
  }
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config))
}

async function putSecret({ node }: Platform, name: string): Promise<void> {
  const answer = await node.api(`/client/v4/accounts/${node.accountId}/workers/scripts/${name}/secrets`, {
    method: 'PUT',
    body: JSON.stringify({ name: 'SECRET', text: secret, type: 'secret_text' }),
  })
  assert.equal(answer.status, 200, await answer.text())
}

const expected = (colo: string) =>
  `${colo} ${code} ${variable} 1,2 ${secret} ${header},/${redirect} ${`${file}\n`.repeat(3).trim()}`

/** Files outside of a node that hold something of the program. */
async function elsewhere({ node }: Platform, name: string): Promise<string[]> {
  const found: string[] = []
  for (const marker of [...markers, secret])
    for (const path of await filesWith(node.data, marker))
      if (!path.startsWith(`pops/${name}/`)) found.push(`${marker} in ${path}`)
  return found
}

test('a program that was placed before its first deploy is nowhere else', async (t) => {
  const data = await temporaryFolder(t, 'code-data')
  const platform = await startPlatform(t, data)
  const { at } = platform
  await ok(platform, 'residency', 'program:vault', 'DE')
  await write(platform, 'vault')
  await ok(platform, 'deploy')
  await putSecret(platform, 'vault')
  for (const name of ['iad', 'fra'] as const)
    assert.equal((await get(at[name], 'vault.localhost', '/')).text, expected('FRA'))
  assert.deepEqual(await elsewhere(platform, 'fra'), [])
  // Nor with the node that has it, where its disk is read without the platform's key.
  for (const marker of [...markers, secret])
    assert.deepEqual(await filesWith(join(data, 'pops', 'fra', 'placed'), marker), [], marker)

  const version = await ok(platform, 'audit')
  assert.match(version, /program vault +fra \(DE\) +placed\/fabric\.db#placed-blobs@DE/)
  assert.match(version, /Nothing lies where it may not/)
  assert.equal(await platform.node.stop(), 0)

  const again = await startPlatform(t, data)
  assert.equal((await get(again.at.nrt, 'vault.localhost', '/')).text, expected('FRA'))
  assert.deepEqual(await elsewhere(again, 'fra'), [])
})

test('a program whose Durable Objects live elsewhere stays where it is', async (t) => {
  const platform = await startPlatform(t)
  const { at, folder } = platform
  const room = `import { DurableObject } from 'cloudflare:workers'
    export class Room extends DurableObject { fetch() { return new Response('a room') } }
    export default { fetch: (request, env) => env.ROOM.get(env.ROOM.idFromName('one')).fetch(request) }`
  await writeFile(join(folder, 'rooms.js'), room)
  const config = {
    name: 'rooms',
    main: 'rooms.js',
    compatibility_date: '2026-11-01',
    durable_objects: { bindings: [{ name: 'ROOM', class_name: 'Room' }] },
    migrations: [{ tag: 'v1', new_sqlite_classes: ['Room'] }],
  }
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config))
  await ok(platform, 'deploy')
  assert.equal((await get(at.iad, 'rooms.localhost', '/')).text, 'a room')
  const refused = await platform.run('residency', 'program:rooms', 'DE')
  assert.equal(refused.code, 1)
  assert.match(refused.output, /class 'Room' of 'rooms' live outside of DE and cannot move: 1 at iad \(US\)/)
  await ok(platform, 'residency', 'program:rooms', 'US')
  assert.equal((await get(at.fra, 'rooms.localhost', '/')).text, 'a room')
  assert.match(await ok(platform, 'audit'), /Nothing lies where it may not/)
})

test('what a program had elsewhere before it was placed goes from there, and moves with it', async (t) => {
  const data = await temporaryFolder(t, 'code-moves')
  const platform = await startPlatform(t, data)
  const { at, node } = platform
  await write(platform, 'vault')
  await ok(platform, 'deploy')
  await putSecret(platform, 'vault')
  assert.equal((await get(at.iad, 'vault.localhost', '/')).text, expected('IAD'))
  // Another program has the same code, and may be anywhere.
  await write(platform, 'other')
  await ok(platform, 'deploy')
  assert.notDeepEqual(await filesWith(join(data, 'fabric'), variable), [])
  for (const marker of [code, header, redirect]) assert.notDeepEqual(await filesWith(join(data, 'fabric'), marker), [])
  const remove = await node.api(`/client/v4/accounts/${node.accountId}/workers/scripts/other`, { method: 'DELETE' })
  assert.equal(remove.status, 200)

  await ok(platform, 'residency', 'vault', 'DE')
  await until(async () => (await elsewhere(platform, 'fra')).length === 0, 'nothing of it is outside of Germany')
  assert.equal((await get(at.iad, 'vault.localhost', '/')).text, expected('FRA'))
  assert.match(await ok(platform, 'audit'), /Nothing lies where it may not/)

  await ok(platform, 'residency', 'vault', 'JP')
  await until(async () => (await elsewhere(platform, 'nrt')).length === 0, 'nothing of it is outside of Japan')
  assert.equal((await get(at.fra, 'vault.localhost', '/')).text, expected('NRT'))
  assert.match(await ok(platform, 'audit'), /Nothing lies where it may not/)

  await ok(platform, 'residency', 'vault', 'anywhere')
  assert.equal((await get(at.iad, 'vault.localhost', '/')).text, expected('IAD'))
  assert.notDeepEqual(await filesWith(join(data, 'fabric'), code), [])
})

test('what was prepared of a Compute program to run it goes with its code', async (t) => {
  const platform = await startPlatform(t)
  const { at, node, folder } = platform
  const marker = 'marker-of-a-module-6a3f'
  const text = program(`(call $answer (i32.const 200) (i32.const 8192) (i32.const ${marker.length}))`)
  const wasm = await assemble(text.replace('(global', `(data (i32.const 8192) "${marker}")\n(global`))
  await mkdir(join(folder, 'bin'))
  await writeFile(join(folder, 'bin', 'main.wasm'), wasm)
  await writeFile(join(folder, 'fastly.toml'), 'manifest_version = 3\nname = "edge"\nlanguage = "other"\n')
  await ok(platform, 'deploy')
  const ask = async () => {
    const { headers, text } = await get(at.iad, 'edge.localhost', '/')
    return [headers['x-served-by'], text]
  }
  assert.deepEqual(await ask(), ['iad', marker])
  const prepared = (path: string) => path.startsWith('pops/iad/engine/compute/modules-')
  assert.ok((await filesWith(node.data, marker)).some(prepared))
  assert.match(await ok(platform, 'audit'), /program edge +iad \(US\) +engine\/compute\/modules-/)

  await ok(platform, 'residency', 'service:edge', 'DE')
  await until(
    async () => (await filesWith(node.data, marker)).every((path) => path.startsWith('pops/fra/')),
    'nothing of it is outside of Germany',
  )
  assert.deepEqual(await ask(), ['fra', marker])
  const audit = await ok(platform, 'audit')
  assert.doesNotMatch(audit, /modules-.* iad|iad .*modules-/)
  assert.match(audit, /Nothing lies where it may not/)
})
