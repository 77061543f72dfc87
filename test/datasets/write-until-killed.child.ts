/** Run by `datasets.test.ts`: writes points from several sides until it is killed; prints how many each was told are kept. */
import { writeSync } from 'node:fs'
import { openDatasetStage } from './stage.ts'

const stage = await openDatasetStage(process.argv[2]!)

async function write(writer: string): Promise<never> {
  for (let number = 1; ; number++) {
    await stage.calls.write('d', [{ at: Math.floor(Date.now() / 1000), index: writer, blobs: [], doubles: [number] }])
    writeSync(1, `${writer} ${number}\n`)
  }
}
await Promise.all(['a', 'b', 'c', 'd'].map(write))
