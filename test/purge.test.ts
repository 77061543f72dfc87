/** Every door's purge on the real cache of a real node. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { fastly } from './support/fastly.ts'
import { type RunningNode, rimward, startNode } from './support/node.ts'

const host = 'www.purge.example.test'

async function cloudflare(node: RunningNode, body: object) {
  const found = await node.api('/client/v4/zones?name=purge.example.test')
  const { result } = (await found.json()) as { result: { id: string }[] }
  const init = { method: 'POST', body: JSON.stringify(body) }
  const answer = await node.api(`/client/v4/zones/${result[0]!.id}/purge_cache`, init)
  assert.equal(answer.status, 200, await answer.text())
}

test('what one door purges is gone, and nothing else', async (t) => {
  let version = 1
  const server = createServer((request, response) => {
    response.setHeader('cache-control', 'max-age=600, stale-while-revalidate=600')
    if (request.url?.startsWith('/tagged')) response.setHeader('cache-tag', 'Pages, all')
    if (request.url?.startsWith('/keyed')) response.setHeader('surrogate-key', 'pages all')
    response.end(`version ${version}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const node = await startNode(t)
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const own = async (...args: string[]) => {
    const ran = await rimward(node, node.data, ['purge', ...args])
    assert.equal(ran.code, 0, ran.output)
  }
  assert.equal((await rimward(node, node.data, ['site', 'add', 'www', '--origin', origin, '--host', host])).code, 0)

  const paths = ['/tagged', '/keyed', '/img/a', '/page?x=1']
  const versions = async () => {
    const answers = await Promise.all(paths.map((path) => node.get(host, path)))
    return answers.map(({ text }) => Number(text.replace('version ', '')) === version)
  }
  const url = `https://${host}/page?x=1`
  const rows: [string, () => Promise<unknown>, boolean[]][] = [
    ['cloudflare tags', () => cloudflare(node, { tags: ['pages'] }), [true, true, false, false]],
    ['cloudflare files', () => cloudflare(node, { files: [url] }), [false, false, false, true]],
    ['cloudflare prefixes', () => cloudflare(node, { prefixes: [`${host}/img`] }), [false, false, true, false]],
    ['cloudflare hosts', () => cloudflare(node, { hosts: [host] }), [true, true, true, true]],
    ['cloudflare everything', () => cloudflare(node, { purge_everything: true }), [true, true, true, true]],
    [
      'fastly url',
      () => fastly(node, ['service', 'purge', '--service-id', 'any', '--url', url]),
      [false, false, false, true],
    ],
    [
      'PURGE',
      () => node.get(host, '/img/a', { method: 'PURGE', headers: { 'fastly-key': node.token } }),
      [false, false, true, false],
    ],
    ['own tag', () => own('--tag', 'pages', '--site', 'www'), [true, true, false, false]],
    ['own url', () => own('--url', url, '--prefix', `${host}/img`), [false, false, true, true]],
    ['own host', () => own('--host', host), [true, true, true, true]],
    ['own all', () => own('--all'), [true, true, true, true]],
    ['own other site', () => own('--host', 'elsewhere.test'), [false, false, false, false]],
  ]
  for (const [name, purge, gone] of rows) {
    await node.api('/rimward/v1/purge', { method: 'POST', body: '{"everything":true}' })
    await versions()
    version++
    assert.deepEqual(await versions(), [false, false, false, false], name)
    await purge()
    assert.deepEqual(await versions(), gone, name)
  }
  await own('--all', '--soft')
  version++
  assert.deepEqual(await versions(), [false, false, false, false], 'soft: what is stale stands in while it is fetched')
  const nothing = await rimward(node, node.data, ['purge'])
  assert.deepEqual([nothing.code, /Nothing to purge/.test(nothing.output)], [1, true])
})
