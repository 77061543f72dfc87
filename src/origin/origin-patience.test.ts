/** How long one origin may take, where its site says so. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { request, textOf, withHttp } from './origin.fixture.ts'

const patience = { connectMs: 1000, firstByteMs: 60_000, betweenBytesMs: 60_000 }

test('the first byte, and the time between bytes, are those of the origin', async (t) => {
  const { url, egress } = await withHttp(t, (incoming, outgoing) => {
    if (incoming.url === '/body') outgoing.writeHead(200).write('begun')
    else if (incoming.url === '/ok') outgoing.end('fine')
  })
  const silent = egress.fetch(request(`${url}/head`, { origin: { ...patience, firstByteMs: 30 } }))
  await assert.rejects(silent, { code: 'origin_timeout' })
  const begun = await egress.fetch(request(`${url}/body`, { origin: { ...patience, betweenBytesMs: 30 } }))
  await assert.rejects(textOf(begun.body), { code: 'origin_timeout' })
  const fine = await egress.fetch(request(`${url}/ok`, { origin: patience }))
  assert.equal(await textOf(fine.body), 'fine')
})
