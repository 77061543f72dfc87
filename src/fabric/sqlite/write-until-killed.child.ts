/** Run by `crash.test.ts`: writes for ever and prints a line for each acknowledged write, until it is killed. */
import { writeSync } from 'node:fs'
import { defaultLimits } from '#/core/limits.ts'
import { openSqliteFabric } from './fabric.ts'

const [folder, round] = process.argv.slice(2) as [string, string]
const fabric = await openSqliteFabric({ folder, clock: Date.now, limits: defaultLimits })
const bucket = fabric.bucket('crash')

/** Waits while the pipe is full: a slow reader must not end the writer. */
function say(line: string): void {
  for (;;) {
    try {
      writeSync(1, `${line}\n`)
      return
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5)
    }
  }
}

async function writeEntries(writer: number): Promise<never> {
  for (let i = 0; ; i++) {
    const key = `${round}/${writer}/${i}`
    await bucket.put(key, Buffer.from(key.repeat(1 + (i % 500))))
    say(`entry ${key}`)
  }
}

async function writeBlobs(): Promise<never> {
  for (let i = 0; ; i++) {
    const { hash } = await fabric.blobs.put(Buffer.alloc(100_000 + i, `${round} ${i}`))
    say(`blob ${hash}`)
  }
}

await Promise.all([writeBlobs(), ...Array.from({ length: 8 }, (_, writer) => writeEntries(writer))])
