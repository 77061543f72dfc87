/** A hit is the same answer on HTTP/2 as on HTTP/1.1, whichever wrote its head out first. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type IncomingHttpHeaders } from 'node:http2'
import { type TestContext, test } from 'node:test'
import { host, startDelivery } from './support/delivery.ts'

interface Got {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
}

/** Without what differs from answer to answer, and what HTTP/1.1 alone says. */
function comparable(headers: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const ofItsOwn = ['x-cache-hits', 'cf-ray', 'age', 'cache-status', 'connection', 'keep-alive', ':status']
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !ofItsOwn.includes(name)))
}

async function getByHttp2(t: TestContext, address: string, path: string): Promise<Got> {
  const session = connect(address)
  t.after(() => session.destroy())
  const stream = session.request({ ':path': path, ':authority': host })
  const headers = await new Promise<IncomingHttpHeaders>((resolve) => stream.once('response', resolve))
  let body = ''
  for await (const chunk of stream.setEncoding('latin1')) body += chunk
  session.close()
  await once(session, 'close')
  return { status: Number(headers[':status']), headers, body }
}

for (const bytes of [0, 1024, 100_000])
  test(`${bytes} bytes from the cache`, async (t) => {
    const { node, origin, get } = await startDelivery(t)
    const page = 'é'.repeat(bytes / 2)
    const fields = {
      'cache-control': 'max-age=60',
      'content-type': 'application/octet-stream',
      ETag: '"a"',
      'X-Mixed': 'Case',
    }
    origin.on('/page', (_asked, answer) => answer.writeHead(200, fields).end(page))
    await get('/page')
    for (let round = 0; round < 3; round++) {
      const first = await get('/page')
      const second = await getByHttp2(t, node.addresses.http, '/page')
      assert.equal(second.status, 200)
      assert.equal(second.headers['x-cache'], 'HIT')
      assert.deepEqual(comparable(second.headers), comparable(first.headers))
      assert.equal(Buffer.from(second.body, 'latin1').toString(), page)
    }
    assert.equal(origin.seen('/page').length, 1)
  })
