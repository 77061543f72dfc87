/** Run by `datasets.test.ts`: writes points from several sides until it is killed; prints how many each was told are kept. */
import { printLine } from '#/stores/print-line.fixture.ts'
import { openDatasetStage } from './stage.ts'

const stage = await openDatasetStage(process.argv[2]!)

async function write(writer: string): Promise<never> {
  for (let number = 1; ; number++) {
    await stage.calls.write('d', [{ at: Math.floor(Date.now() / 1000), index: writer, blobs: [], doubles: [number] }])
    printLine(`${writer} ${number}`)
  }
}
await Promise.all(['a', 'b', 'c', 'd'].map(write))
