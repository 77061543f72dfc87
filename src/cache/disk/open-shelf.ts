/** Brings a folder back to life: the index is read, what it does not know is deleted, what is not there is forgotten. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import { openBodyFiles } from './body-files.ts'
import { createDiskIndex, type Place } from './disk-index.ts'
import { type IndexFile, openIndexFile } from './index-file.ts'
import { unpackPlaces } from './places.ts'
import { openSegments } from './segments.ts'
import { createShelf, type Shelf } from './shelf.ts'

export interface OpenedShelf {
  readonly shelf: Shelf
  readonly indexFile: IndexFile
}

export interface OpenShelfOptions {
  readonly folder: string
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

export async function openShelf({ folder, limits, clock, log }: OpenShelfOptions): Promise<OpenedShelf> {
  await mkdir(folder, { recursive: true })
  const index = createDiskIndex()
  const placesOf = (segment: number): Place[] => index.slotsOf(segment).map((slot) => index.place(slot))
  let shelf: Shelf | undefined
  const indexFile = await openIndexFile({
    file: join(folder, 'index.db'),
    seed: crypto.getRandomValues(new Int32Array(1))[0]!,
    clock,
    flushMs: limits.cacheIndexMs,
    pauseMs: limits.cacheDiskPauseMs,
    placesOf,
    *everything() {
      for (const segment of shelf?.segments.all.keys() ?? []) yield [segment, placesOf(segment)] as const
    },
    failed: (reason) => log('the index of the cache on disk cannot be written', { reason }),
    committed: () => shelf?.committed(),
  })
  const { loaded } = indexFile
  const segments = await openSegments(join(folder, 'segments'), new Set(loaded.keys()))
  const bodies = await openBodyFiles(join(folder, 'bodies'))
  shelf = createShelf({ index, segments, bodies, indexFile })
  const inUse = new Set<number>()
  let highestFile = 0
  for (const [number, packed] of loaded) {
    const segment = segments.all.get(number)
    if (segment === undefined) {
      indexFile.drop(number)
      continue
    }
    unpackPlaces(number, packed, (place) => {
      // A record beyond the end of its file was lost with the power; so may its body file be.
      highestFile = Math.max(highestFile, place.file)
      const lost = place.offset + place.bytes > segment.bytes || (place.file !== 0 && !bodies.has(place.file))
      if (lost) return indexFile.gone(number, place.offset)
      index.insert(place)
      if (place.file === 0) return
      shelf?.retain(place.file, place.fileBytes)
      segment.fileBytes += place.fileBytes
      inUse.add(place.file)
    })
    // Between two segments the thread may serve.
    await new Promise(setImmediate)
    if (index.isEmpty(number)) shelf.drop(segment)
  }
  await bodies.sweep(inUse, highestFile)
  indexFile.forgetLoaded()
  return { shelf, indexFile }
}
