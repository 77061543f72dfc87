/** What the cache knows survives the process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { say, startOrigin } from './support/delivery.ts'
import { startNode, temporaryFolder } from './support/node.ts'

test('answers are warm again after the node was stopped and started', { timeout: 60_000 }, async (t) => {
  const origin = await startOrigin(t)
  const data = await temporaryFolder(t, 'warm')
  const first = await startNode(t, { data })
  const added = await first.api('/rimward/v1/sites', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'shop', origin: origin.url }),
  })
  assert.equal(added.status, 201)
  for (let index = 0; index < 20; index++) {
    origin.on(`/${index}`, say({ 'cache-control': 'max-age=600', etag: '"v"' }, `body ${index}`))
    assert.equal((await first.get('shop.localhost', `/${index}`)).headers['cf-cache-status'], 'MISS')
  }
  assert.equal(await first.stop(), 0)
  await origin.stop()
  const second = await startNode(t, { data })
  for (let index = 0; index < 20; index++) {
    const { text, headers } = await second.get('shop.localhost', `/${index}`)
    assert.deepEqual([text, headers['cf-cache-status']], [`body ${index}`, 'HIT'])
  }
})
