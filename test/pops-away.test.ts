// needs: current-nats-server
/**
 * Three points of presence in processes of their own behind long lines (80 and 160 ms): one is cut off together with its NATS
 * server while the others deploy and purge, and comes back.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openShop } from './support/cut-off-pop.ts'
import { startDistantPops } from './support/distant-pops.ts'

test('a point of presence that was cut off serves all the time, and nothing old once it says that it is ready', {
  timeout: 240_000,
}, async (t) => {
  const distant = await startDistantPops(t)
  const shop = await openShop(t, distant)
  const found = await shop.cutOff(5_000)
  console.log(found)
  assert.ok(found.asked > 20 && found.deploys > 0 && found.purges > 0)
  assert.deepEqual(found.failed, [])
  assert.equal(found.stale, 0)
  // What it serves does not wait for its servers of NATS, which agree again after 4 s at the earliest.
  assert.ok(found.convergedMs < 4_000, `${found.convergedMs} ms`)
})
