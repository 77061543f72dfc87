import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import { bytes } from '../fabric.contract.ts'
import { openSqliteFabric } from '../sqlite/fabric.ts'
import { createPlacedFabrics } from './fabric.ts'

test('a placed bucket lies with one node inside, is found there again, and is refused outside', async (t) => {
  const root = await mkdtemp(join(tmpdir(), 'rimward-placed-'))
  t.after(() => rm(root, { recursive: true, force: true }))
  const shared = createMemoryFabric(Date.now)
  const openedAt: string[] = []
  async function open(...names: string[]) {
    const nodes = names.map((name) => {
      const [id = '', country = ''] = name.split(':')
      return { id, country, folder: join(root, id) }
    })
    const failures: unknown[] = []
    const placed = createPlacedFabrics({
      shared,
      nodes,
      open(folder) {
        openedAt.push(folder.slice(root.length + 1))
        return openSqliteFabric({ folder, clock: Date.now, limits: defaultLimits })
      },
      report: (error) => failures.push(error),
    })
    const buckets = placed.fabrics.map((fabric) => fabric.bucket('b@DE', { within: ['DE'] }))
    return { ...placed, buckets, failures }
  }

  const first = await open('iad:US', 'fra:DE', 'ber:DE')
  await first.fabrics[0]!.bucket('b').put('k', bytes('anywhere'))
  const [iad, fra, ber] = first.buckets
  assert.deepEqual(openedAt, [])
  const heard: string[] = []
  ber!.watch('', (change) => heard.push(change.kind))
  await fra!.put('k', bytes('inside'))
  assert.equal(Buffer.from((await ber!.get('k'))!.value).toString(), 'inside')
  await assert.rejects(iad!.get('k'), { code: 'not_here', message: /b@DE lies within DE; iad is in US/ })
  iad!.watch('', () => {})
  await Promise.all([first.fabrics[0]!.clean!(), first.fabrics[1]!.clean!(), first.fabrics[2]!.clean!()])
  assert.deepEqual([openedAt, heard, first.failures.length], [['fra/placed'], ['put'], 1])
  await first.close()

  // Another order, another node in front: it is where it was.
  const again = await open('aaa:DE', 'ber:DE', 'fra:DE')
  assert.equal(Buffer.from((await again.buckets[0]!.get('k'))!.value).toString(), 'inside')
  assert.deepEqual(openedAt, ['fra/placed', 'fra/placed'])
  await again.close()
})
