// needs: current-nats-server
/**
 * Three points of presence in processes of their own behind long lines (80 and 160 ms): one is cut off together with
 * its NATS server while the others deploy and purge, and comes back; then the servers are lost one after the other under load.
 */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { openShop } from './support/cut-off-pop.ts'
import { type DistantPops, startDistantPops } from './support/distant-pops.ts'
import { losses, startLoad } from './support/lost-server.ts'
import { stopAfterAll } from './support/stop-after-all.ts'

describe('three distant points of presence', () => {
  const t = stopAfterAll()
  let distant: DistantPops

  before(async () => {
    distant = await startDistantPops(t)
  })

  test('one that was cut off serves all the time, and nothing old once it says that it is ready', async () => {
    const shop = await openShop(t, distant)
    const found = await shop.cutOff(5_000)
    console.log(found)
    assert.ok(found.asked > 20 && found.deploys > 0 && found.purges > 0)
    assert.deepEqual(found.failed, [])
    assert.equal(found.stale, 0)
    // What it serves does not wait for its servers of NATS, which agree again after 4 s at the earliest.
    assert.ok(found.convergedMs < 4_000, `${found.convergedMs} ms`)
  })

  test('the leading NATS server is killed, paused, cut off: no request fails, nothing acknowledged is lost', async () => {
    const load = await startLoad(t, distant)
    for (const loss of losses) console.log(loss, await load.lose(loss))
    const { failed, lost, ...counted } = await load.judge()
    console.log(counted)
    assert.deepEqual(failed, [])
    assert.deepEqual(lost, [])
    assert.ok(counted.asked > 1000 && counted.changes > 10 && counted.values > 100, JSON.stringify(counted))
  })
})
