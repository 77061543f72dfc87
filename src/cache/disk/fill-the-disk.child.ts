/** Run by `crash.test.ts` under a limit on the size of files: stores until the disk is full, then asks what still works. */
import { defaultLimits } from '#/core/limits.ts'
import { bodyOf, headOf, pattern } from '../store.contract.ts'
import { createDiskStore } from './disk-store.ts'

const folder = process.argv[2]!
let now = 1_000_000
const said: string[] = []
const store = await createDiskStore({
  folder,
  bytes: 1024 * 1024 * 1024,
  limits: defaultLimits,
  clock: () => now,
  log: (message) => said.push(message),
})

async function stores(key: string, bytes: number): Promise<boolean> {
  const writer = store.open(headOf(key), bytes)
  if (writer === undefined || !(await writer.write(pattern(bytes)))) return false
  return (await writer.finish()) !== undefined
}

async function served(keys: readonly string[]): Promise<number> {
  let right = 0
  for (const key of keys)
    for (const answer of await store.find(key)) if (pattern(30_000).equals(await bodyOf(answer))) right++
  return right
}

const kept: string[] = []
for (let i = 0; await stores(`k${i}`, 30_000); i++) kept.push(`k${i}`)
const refused = store.open(headOf('while it rests'), 10) === undefined
const servedWhileFull = (await served(kept)) === kept.length
now += defaultLimits.cacheDiskPauseMs
const large = await stores('large', 5_000_000)
now += defaultLimits.cacheDiskPauseMs
const again = await stores('again', 30_000)
const servedAfter = await served([...kept, 'again'])
await store.close()
console.log(
  JSON.stringify({
    kept: kept.length > 10,
    refused,
    servedWhileFull,
    large,
    again,
    servedAfter: servedAfter === kept.length + 1,
    said: said.length > 0,
  }),
)
