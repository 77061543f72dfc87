/** Data that stays in its country: three points of presence, and a search of all their files for what must not be there. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { get, temporaryFolder, until } from './support/node.ts'
import { filesWith, ok, type Platform, pop, startPlatform } from './support/three-countries.ts'

/** Logs are written behind the requests. */
async function logged(platform: Platform, name: string, text: string): Promise<void> {
  const file = join(pop(platform, name), 'log', 'rimward.jsonl')
  await until(async () => (await readFile(file, 'utf8')).includes(text), `${name} has logged ${text}`)
}

const program = `export default {
  async fetch(request, env) {
    const body = await request.text()
    if (body !== '') await env.STORE.put('note', body)
    return new Response(request.cf.colo + ' ' + await env.STORE.get('note'))
  },
}`

test('a program with its store and log stays in its country, wherever it is asked', async (t) => {
  const platform = await startPlatform(t)
  const { node, at, folder } = platform
  const made = await node.api(`/client/v4/accounts/${node.accountId}/storage/kv/namespaces`, {
    method: 'POST',
    body: JSON.stringify({ title: 'notes' }),
  })
  const { result } = (await made.json()) as { result: { id: string } }
  await writeFile(join(folder, 'vault.js'), program)
  const config = {
    name: 'vault',
    main: 'vault.js',
    compatibility_date: '2026-11-01',
    kv_namespaces: [{ binding: 'STORE', id: result.id }],
  }
  await writeFile(join(folder, 'wrangler.json'), JSON.stringify(config))

  await ok(platform, 'residency', 'notes', 'DE')
  const refused = await platform.run('deploy')
  assert.equal(refused.code, 1)
  assert.match(refused.output, /'vault' may run anywhere.*'STORE'.*stays in DE.*rimward residency program:vault DE/s)

  assert.match(await ok(platform, 'residency', 'program:vault', 'DE'), /"vault" stays in DE/)
  await ok(platform, 'deploy')
  const marker = 'marker-of-the-body-7d41'
  const posted = await get(at.iad, 'vault.localhost', '/marker-of-the-path-1f9c?q=marker-of-the-query-55e0', {
    method: 'POST',
    body: marker,
  })
  assert.deepEqual([posted.status, posted.text, posted.headers['x-served-by']], [200, `FRA ${marker}`, 'fra'])
  assert.equal((await get(at.nrt, 'vault.localhost', '/')).text, `FRA ${marker}`)

  await logged(platform, 'fra', 'marker-of-the-path-1f9c')
  await logged(platform, 'iad', '"handedTo":"fra"')
  await logged(platform, 'nrt', '"handedTo":"fra"')
  for (const word of [marker, 'marker-of-the-path-1f9c', 'marker-of-the-query-55e0'])
    for (const name of ['iad', 'nrt'])
      assert.deepEqual(await filesWith(pop(platform, name), word), [], `${word} at ${name}`)
  assert.notDeepEqual(await filesWith(pop(platform, 'fra'), 'marker-of-the-query-55e0'), [])
  assert.notDeepEqual(await filesWith(pop(platform, 'fra'), marker), [])
  assert.deepEqual(await filesWith(join(node.data, 'fabric'), marker), [])
  assert.match(await ok(platform, 'audit'), /Nothing lies where it may not/)

  // What is planted in the wrong place is named.
  const database = new DatabaseSync(join(pop(platform, 'iad'), 'stray.db'))
  database.exec('CREATE TABLE entries (bucket TEXT, key BLOB, value BLOB)')
  database
    .prepare('INSERT INTO entries VALUES (?, ?, ?)')
    .run(`kv/${result.id}`, Buffer.from('note'), Buffer.from(marker))
  database.close()
  await appendFile(
    join(pop(platform, 'nrt'), 'log', 'rimward.jsonl'),
    '{"site":"vault","path":"/x","client":"192.0.2.1"}\n',
  )
  const { code, output } = await platform.run('audit')
  assert.equal(code, 1)
  assert.match(output, new RegExp(`store ${result.id} in stray\\.db#kv at iad`))
  assert.match(output, /site vault in log\/rimward\.jsonl at nrt/)
})

test('what lay elsewhere before is removed there', async (t) => {
  const platform = await startPlatform(t)
  const { at } = platform
  const small = 'marker-of-a-small-answer-9a02'
  const large = 'marker-of-a-large-answer-c3d8'
  const origin = createServer((request, response) => {
    response.setHeader('cache-control', 'max-age=3600')
    response.end(request.url?.startsWith('/large') ? large.repeat(100_000) : small)
  }).listen(0, '127.0.0.1')
  await once(origin, 'listening')
  t.after(() => origin.close().closeAllConnections())
  await ok(platform, 'site', 'add', 'shop', '--origin', `http://127.0.0.1:${(origin.address() as AddressInfo).port}`)
  const path = '/marker-of-the-path-e117'
  for (const name of ['fra', 'iad'] as const) {
    assert.equal((await get(at[name], 'shop.localhost', path)).text, small)
    await get(at[name], 'shop.localhost', '/large')
    await logged(platform, name, path)
    await until(
      async () => (await filesWith(join(pop(platform, name), 'cache'), small)).length > 0,
      `${name} stored it`,
    )
    await until(
      async () => (await filesWith(join(pop(platform, name), 'cache'), large)).length > 0,
      `${name} stored both`,
    )
  }

  const purged = '/marker-of-a-purged-page-0c5e'
  await ok(platform, 'purge', '--url', `http://shop.localhost${purged}`)
  assert.notDeepEqual(await filesWith(pop(platform, 'iad'), purged), [])

  await ok(platform, 'residency', 'shop', 'eu')
  assert.match(await ok(platform, 'residency'), /site +shop +eu/)
  for (const word of [small, path, purged]) assert.deepEqual(await filesWith(pop(platform, 'iad'), word), [], word)
  await until(async () => (await filesWith(pop(platform, 'iad'), large)).length === 0, 'large bodies are gone')
  assert.notDeepEqual(await filesWith(pop(platform, 'fra'), small), [])
  const report = JSON.parse(await ok(platform, 'audit', '--json')) as { clean: boolean; holdings: { node: string }[] }
  assert.equal(report.clean, true)
  assert.ok(report.holdings.some(({ node }) => node === 'fra'))

  const answer = await get(at.iad, 'shop.localhost', path)
  assert.deepEqual([answer.text, answer.headers['x-served-by']], [small, 'fra'])
  assert.match(String(answer.headers['cache-status']), /hit/)

  // What is purged from now on is named to nodes inside only, and hits.
  const hits = async () => String((await get(at.iad, 'shop.localhost', path)).headers['cache-status'])
  await ok(platform, 'purge', '--url', `http://shop.localhost${path}`)
  assert.match(await hits(), /fwd=/)
  assert.match(await hits(), /hit/)
  await ok(platform, 'purge', '--prefix', `shop.localhost${path.slice(0, -3)}`)
  assert.match(await hits(), /fwd=/)
  for (const name of ['iad', 'nrt']) assert.deepEqual(await filesWith(pop(platform, name), path), [], name)
  assert.match(await ok(platform, 'audit'), /Nothing lies where it may not/)

  assert.match((await platform.run('residency', 'shop', 'DE,UK')).output, /no country "UK".*GB/)
  assert.match(
    (await platform.run('residency', 'nothing', 'DE')).output,
    /no site, program, service or store "nothing"/,
  )
  // Also where the API that is asked may not know what is meant, just that goes, and the receipt names all nodes.
  await ok(platform, 'residency', 'shop', 'US')
  const other = '/another-page'
  const statusOf = async (page: string) => String((await get(at.nrt, 'shop.localhost', page)).headers['cache-status'])
  for (const page of [path, other, path, other]) await statusOf(page)
  const receipt = await ok(platform, 'purge', '--url', `http://shop.localhost${path}`, '--json')
  const { acknowledged, away } = JSON.parse(receipt) as Record<'acknowledged' | 'away', { node: string }[]>
  assert.deepEqual([acknowledged.map(({ node }) => node).toSorted(), away], [['fra', 'iad', 'nrt'], []])
  assert.match(await statusOf(path), /fwd=/)
  assert.match(await statusOf(other), /hit/)
  for (const name of ['fra', 'nrt']) assert.deepEqual(await filesWith(pop(platform, name), path), [], name)

  await ok(platform, 'residency', 'shop', 'anywhere')
  assert.equal((await get(at.iad, 'shop.localhost', path)).headers['x-served-by'], 'iad')
})

test('a namespace that was everywhere goes from where it may be no longer', async (t) => {
  const data = await temporaryFolder(t, 'residency-data')
  const platform = await startPlatform(t, data)
  const { node } = platform
  const namespaces = `/client/v4/accounts/${node.accountId}/storage/kv/namespaces`
  const made = await node.api(namespaces, { method: 'POST', body: JSON.stringify({ title: 'notes' }) })
  const { result } = (await made.json()) as { result: { id: string } }
  const value = `${namespaces}/${result.id}/values/note`
  const [small, large] = ['marker-of-a-small-value-41bb', 'marker-of-a-large-value-90f2']
  assert.equal((await node.api(value, { method: 'PUT', body: small })).status, 200)
  assert.equal((await node.api(`${value}-large`, { method: 'PUT', body: large.repeat(10_000) })).status, 200)
  for (const name of ['fra', 'iad', 'nrt'])
    for (const word of [small, large])
      await until(async () => (await filesWith(pop(platform, name), word)).length > 0, `${name} has ${word}`)

  await ok(platform, 'residency', 'kv:notes', 'JP')
  for (const name of ['fra', 'iad'])
    for (const word of [small, large])
      await until(async () => (await filesWith(pop(platform, name), word)).length === 0, `${name} has no ${word}`)
  assert.match(await ok(platform, 'audit'), /Nothing lies where it may not/)
  assert.equal(await (await node.api(value)).text(), small)
  assert.equal((await node.api(value, { method: 'PUT', body: 'changed' })).status, 200)
  assert.equal(await (await node.api(value)).text(), 'changed')

  assert.equal(await node.stop(), 0)
  const again = await startPlatform(t, data)
  assert.equal(await (await again.node.api(`${value}-large`)).text(), large.repeat(10_000))
  for (const name of ['fra', 'iad']) assert.deepEqual(await filesWith(pop(again, name), large), [], name)
  assert.match(await ok(again, 'audit'), /Nothing lies where it may not/)
})
