/**
 * A node that is stopped, killed, started twice, and deployed to under load.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { type RunningNode, root, run, startNode, temporaryFolder } from './support/node.ts'

/** Uploads a Worker over the API as wrangler does, without wrangler's second of start-up. */
async function deploy(node: RunningNode, name: string, code: string, metadata: object = {}): Promise<Response> {
  const form = new FormData()
  form.set('metadata', JSON.stringify({ main_module: 'index.js', compatibility_date: '2026-10-01', ...metadata }))
  form.set('index.js', new File([code], 'index.js', { type: 'application/javascript+module' }))
  const uploaded = await node.api(`/client/v4/accounts/${node.accountId}/workers/scripts/${name}`, {
    method: 'PUT',
    body: form,
  })
  if (!uploaded.ok) return uploaded
  return node.api(`/client/v4/accounts/${node.accountId}/workers/scripts/${name}/subdomain`, {
    method: 'POST',
    body: '{"enabled":true}',
  })
}

const saying = (word: string) => `export default { fetch: () => new Response('${word}') }`
const counting = `import { DurableObject } from 'cloudflare:workers'
export class Count extends DurableObject {
  async next() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); return n } }
export default { async fetch(_, env) { return new Response(String(await env.COUNT.getByName('c').next())) } }`
const objects = {
  bindings: [{ type: 'durable_object_namespace', name: 'COUNT', class_name: 'Count' }],
  migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Count'] }] },
}

test('SIGTERM: in-flight requests finish, exit code 0', { timeout: 30_000 }, async (t) => {
  const node = await startNode(t)
  await deploy(
    node,
    'slow',
    `export default { async fetch() { await scheduler.wait(500); return new Response('late') } }`,
  )
  const answer = node.get('slow.localhost', '/')
  await new Promise((resolve) => setTimeout(resolve, 100))
  const code = node.stop('SIGTERM')
  assert.equal((await answer).text, 'late')
  assert.equal(await code, 0)
})

test('a second `up` on the same folder is refused with a clear sentence', { timeout: 30_000 }, async (t) => {
  const node = await startNode(t)
  const second = await run(
    process.execPath,
    [join(root, 'bin/rimward.mjs'), 'up', '--data', node.data, '--http', '127.0.0.1:0', '--api', '127.0.0.1:0'],
    { cwd: root, env: process.env },
  )
  assert.equal(second.code, 1)
  assert.match(second.output, /already|in use/i)
})

test('SIGKILL at any moment of a deploy loses nothing acknowledged', { timeout: 90_000 }, async (t) => {
  const data = await temporaryFolder(t, 'data')
  let acknowledged = 0
  for (let round = 0; round < 4; round++) {
    const node = await startNode(t, { data })
    if (round > 0) {
      const seen = Number((await node.get('numbered.localhost', '/')).text)
      // The upload that was cut off may have landed or not; an acknowledged one must be there.
      assert.ok(seen === acknowledged || seen === acknowledged + 1, `acknowledged ${acknowledged}, serves ${seen}`)
      acknowledged = seen
    }
    let killed: Promise<unknown> | undefined
    for (let alive = true; alive; ) {
      const done = await deploy(node, 'numbered', saying(String(acknowledged + 1))).catch(() => undefined)
      if (done?.ok) acknowledged += 1
      else alive = false
      // At another moment of a later deploy each round.
      killed ??= new Promise((resolve) => setTimeout(resolve, 60 + round * 35)).then(() => node.stop('SIGKILL'))
    }
    await killed
  }
  assert.ok(acknowledged >= 1, 'at least one deploy was acknowledged')
})

test("a Durable Object's acknowledged writes outlive SIGKILL of everything", { timeout: 60_000 }, async (t) => {
  const data = await temporaryFolder(t, 'data')
  let last = 0
  for (let round = 0; round < 3; round++) {
    const node = await startNode(t, { data })
    if (round === 0) assert.equal((await deploy(node, 'count', counting, objects)).status, 200)
    for (let n = 0; n < 5; n++) {
      const now = Number((await node.get('count.localhost', '/')).text)
      assert.equal(now, last + 1)
      last = now
    }
    await node.stop('SIGKILL')
  }
})

/** Asks over and over on one kept connection until told to stop; counts answers by what they say. */
async function load(node: RunningNode, host: string, until: () => boolean): Promise<Map<string, number>> {
  const seen = new Map<string, number>()
  while (!until()) {
    const answer = await node.get(host, '/').catch((error) => ({ status: 0, text: String(error) }))
    const key = answer.status === 200 ? 'ok' : `${answer.status} ${answer.text.slice(0, 200)}`
    seen.set(key, (seen.get(key) ?? 0) + 1)
  }
  return seen
}

for (const [kind, code, metadata] of [
  ['a plain program', (n: number) => saying(String(n)), {}],
  ['a program with objects', () => counting, objects],
] as const)
  test(`50 deploys of ${kind} under load: no failed request`, { timeout: 120_000 }, async (t) => {
    const node = await startNode(t)
    await deploy(node, 'busy', code(0), metadata)
    let done = false
    const clients = [1, 2, 3, 4].map(() => load(node, 'busy.localhost', () => done))
    for (let n = 1; n <= 50; n++) {
      const answer = await deploy(node, 'busy', code(n), { bindings: 'bindings' in metadata ? metadata.bindings : [] })
      assert.equal(answer.status, 200, await answer.text())
    }
    done = true
    for (const seen of await Promise.all(clients)) assert.deepEqual([...seen.keys()], ['ok'])
  })

test('bad uploads are refused and the running version stays', { timeout: 60_000 }, async (t) => {
  const node = await startNode(t)
  await deploy(node, 'good', saying('good'))
  const cases: [string, RegExp][] = [
    ['export default { fetch( }', /SyntaxError[\s\S]*index\.js:1/],
    [`throw new Error('at start'); export default {}`, /at start/],
    [`for (;;); export default {}`, /global scope did not end/],
    [`import './missing.js'; export default {}`, /missing\.js/],
  ]
  for (const [code, says] of cases) {
    const answer = await deploy(node, 'good', code)
    assert.equal(answer.status, 400, code)
    assert.match(await answer.text(), says)
    assert.equal((await node.get('good.localhost', '/')).text, 'good')
  }
})

test('the workerd processes end with the node, even when it is killed', { timeout: 30_000 }, async (t) => {
  const node = await startNode(t)
  await deploy(node, 'count', counting, objects)
  await node.get('count.localhost', '/')
  await node.stop('SIGKILL')
  const again = await startNode(t, { data: node.data })
  assert.equal((await again.get('count.localhost', '/')).text, '2', 'no leftover process holds the storage')
})

test('the data port speaks to nobody by accident', { timeout: 30_000 }, async (t) => {
  const node = await startNode(t)
  const { hostname, port } = new URL(node.addresses.http)
  const socket = connect(Number(port), hostname)
  socket.end('GET / HTTP/1.1\r\nHost: a.localhost\r\nHost: b.localhost\r\n\r\n')
  let text = ''
  for await (const chunk of socket) text += chunk
  assert.match(text, /^HTTP\/1\.1 400 /)
  const unknown = await node.get('nobody.localhost', '/')
  assert.equal(unknown.status, 404)
  assert.match(unknown.text, /nobody\.localhost/)
})
