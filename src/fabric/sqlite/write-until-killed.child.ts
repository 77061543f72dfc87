/** Run by `crash.test.ts`: writes for ever and prints a line for each acknowledged write, until it is killed. */
import { writeSync } from 'node:fs'
import { defaultLimits } from '#/core/limits.ts'
import { openSqliteFabric } from './fabric.ts'

const [folder, round] = process.argv.slice(2) as [string, string]
const fabric = await openSqliteFabric({ folder, clock: Date.now, limits: defaultLimits })
const bucket = fabric.bucket('crash')

async function writeEntries(writer: number): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `${round}/${writer}/${i}`
    await bucket.put(key, Buffer.from(key.repeat(1 + (i % 500))))
    writeSync(1, `entry ${key}\n`)
  }
}

async function writeBlobs(): Promise<never> {
  for (let i = 0; ; i++) {
    const { hash } = await fabric.blobs.put(Buffer.alloc(100_000 + i, `${round} ${i}`))
    writeSync(1, `blob ${hash}\n`)
  }
}

await Promise.all([writeBlobs(), ...Array.from({ length: 8 }, (_, writer) => writeEntries(writer))])
