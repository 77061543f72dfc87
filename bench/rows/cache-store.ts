/** The cache's store by itself: memory per object, hit ratios beside LRU, what finding costs, and a restart from disk. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { BenchRow } from '../row.ts'
import { show } from '../statistics.ts'

const script = fileURLToPath(new URL('../store-process.ts', import.meta.url))

function measure(...words: string[]): Record<string, number> {
  const run = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', '--expose-gc', script, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (run.status !== 0) throw new Error(`store-process ${words.join(' ')} failed`)
  return JSON.parse(run.stdout)
}

const percent = (part: number): string => `${show(part * 100)} %`

export const cacheStore: BenchRow = {
  name: 'cache-store',
  async run(options) {
    const rows: string[][] = []
    const failures: string[] = []
    options.progress('memory')
    const memory = measure('memory', '200000')
    rows.push(['memory per 1 KiB object with its head of 11 fields, bytes', show(memory.perObject!)])
    rows.push(['the same, as the store counts it', show(memory.saidPerObject!)])
    rows.push(['find in memory, µs', memory.findMicroseconds!.toFixed(2)])
    rows.push(['find and parse a head anew, µs', show(memory.findParsedAnewMicroseconds!)])
    if (memory.perObject! > 2048) failures.push('an object takes more than 2 KiB')
    options.progress('two tiers')
    const tiers = measure('tiers', '20000')
    rows.push(['find in memory over a disk, µs', tiers.findMicroseconds!.toFixed(2)])
    for (const [alpha, mixed] of [
      ['0.8', '0'],
      ['0.9', '0'],
      ['1.0', '0'],
      ['0.9', '1'],
    ] as const) {
      options.progress(`Zipf ${alpha}`)
      const { hitRatio, lruHitRatio } = measure('zipf', alpha, mixed)
      const sizes = mixed === '1' ? ', 0.2 to 4 KB' : ''
      rows.push([`hit ratio, Zipf ${alpha}${sizes} (LRU)`, `${percent(hitRatio!)} (${percent(lruHitRatio!)})`])
      if (hitRatio! <= lruHitRatio!) failures.push(`not above LRU at Zipf ${alpha}`)
    }
    options.progress('disk')
    const disk = measure('disk', '1000000')
    rows.push(['1,000,000 objects on disk: start, ms', show(disk.startMs!)])
    rows.push(['index in memory, bytes an object', show(disk.indexPerObject!)])
    rows.push(['on disk, bytes an object', show(disk.diskPerObject!)])
    rows.push(['stored on disk a second', show(disk.putsPerSecond!)])
    rows.push(['found on disk a second, 16 at once', show(disk.findsPerSecond!)])
    rows.push(['what is nowhere, µs', disk.absentMicroseconds!.toFixed(2)])
    rows.push(['removal by tag over all of it, ms', show(disk.sweepMs!)])
    if (disk.startMs! > 2000) failures.push('a start takes more than 2 s')
    return {
      title: "The cache's store",
      how: 'In processes of its own, without network. Memory: heap and buffers after a full collection, 200,000 objects. Hit ratios: 50,000 objects, a tenth of them fits, 1,000,000 requests of which the first fifth is not counted; LRU has the same bytes and pays no slack. Times of single calls are CPU time of the thread, those of the disk are by the clock.',
      heading: ['', ''],
      rows,
      failures,
    }
  },
}
