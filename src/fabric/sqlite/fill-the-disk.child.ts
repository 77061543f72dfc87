/** Run by `crash.test.ts` under a limit on the size of files: fills the fabric, then tries what must still work. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { defaultLimits } from '#/core/limits.ts'
import { openSqliteFabric } from './fabric.ts'

const folder = process.argv[2]!
const fabric = await openSqliteFabric({ folder, clock: Date.now, limits: defaultLimits })
const bucket = fabric.bucket('full')
const codeOf = (error: { code?: string }) => error.code

const kept: string[] = []
let refused: string | undefined
for (let i = 0; refused === undefined; i++) {
  const done = await bucket.put(`k${i}`, Buffer.alloc(60_000, i)).catch(codeOf)
  if (typeof done === 'number') kept.push(`k${i}`)
  else refused = done
}
const found = await Promise.all(kept.map(async (key) => (await bucket.get(key))?.value.length === 60_000))
const deleted = await bucket.delete('k0').catch(codeOf)
const small = await bucket.put('small', Buffer.from('v')).catch(codeOf)

const blob = await fabric.blobs.put(Buffer.alloc(5_000_000)).catch(codeOf)
const smallBlob = await fabric.blobs.put(Buffer.from('small')).then(({ bytes }) => bytes, codeOf)
const unfinished = (await readdir(join(folder, 'blobs', 'unfinished'))).length
await fabric.close()
console.log(
  JSON.stringify({
    kept: kept.length > 10,
    refused,
    found: found.every(Boolean),
    deleted,
    small: typeof small,
    blob,
    smallBlob,
    unfinished,
  }),
)
