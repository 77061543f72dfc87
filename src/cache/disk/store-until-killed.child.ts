/** Run by `crash.test.ts`: stores, replaces and removes for ever, a line for each, until it is killed. */
import { writeSync } from 'node:fs'
import { defaultLimits } from '#/core/limits.ts'
import { headOf, pattern } from '../store.contract.ts'
import { createDiskStore } from './disk-store.ts'

const [folder, bytes, round] = process.argv.slice(2) as [string, string, string]
const limits = { ...defaultLimits, cacheIndexMs: 20 }
const store = await createDiskStore({ folder, bytes: Number(bytes), limits, clock: Date.now, log: () => {} })
for (let i = 0; ; i++) {
  const stamp = Number(round) * 1_000_000 + i
  const key = `k${(i * 7919) % 2000}`
  const body = pattern(i % 13 === 0 ? 150_000 : i % 3000, stamp)
  const writer = store.open(headOf(key, { receivedAt: stamp }), undefined)
  if (writer !== undefined && (await writer.write(body))) await writer.finish()
  if (i % 17 === 0) for (const answer of await store.find(`k${(i * 31) % 2000}`)) store.remove(answer)
  if (i % 100 === 0) writeSync(1, `${i}\n`)
}
