/**
 * The serving thread's side of the index on disk: gathers what was stored and removed, and has it committed in the
 * background, a few times a second.
 */
import { Worker } from 'node:worker_threads'
import { EdgeError } from '#/core/errors.ts'
import type { Bytes, Clock, Milliseconds } from '#/core/units.ts'
import type { Place } from './disk-index.ts'
import type { IndexData, IndexReport, IndexRequest, IndexRow } from './index-file.thread.ts'
import { packOffsets, packPlaces } from './places.ts'

export interface IndexFile {
  readonly seed: number
  /** Packed places by segment, as the index on disk had them; empty after `forgetLoaded`. */
  readonly loaded: ReadonlyMap<number, Uint8Array>
  forgetLoaded(): void
  put(place: Place): void
  gone(segment: number, offset: number): void
  /** Everything of the segment is gone. */
  drop(segment: number): void
  /** Resolves when what was said so far is committed, or given up. */
  flush(): Promise<void>
  readonly bytes: Bytes
  close(): Promise<void>
}

export interface IndexFileOptions {
  readonly file: string
  readonly seed: number
  readonly clock: Clock
  readonly flushMs: Milliseconds
  readonly pauseMs: Milliseconds
  /** All live places, by segment: for an index written anew. */
  readonly everything: () => Iterable<readonly [segment: number, places: readonly Place[]]>
  readonly placesOf: (segment: number) => readonly Place[]
  readonly failed: (message: string) => void
  /** Called after each commit: what waited for it may go. */
  readonly committed: () => void
}

interface Changes {
  readonly puts: Place[]
  readonly gone: number[]
}

/** Rows of one segment after which they are written as one. */
const mostRows = 64
/** Changes that may wait for a slow disk, some 100 bytes each; with more, the index is given up and written anew. */
const mostChanges = 500_000
const nothing = new Uint8Array(0)

export async function openIndexFile(options: IndexFileOptions): Promise<IndexFile> {
  const workerData: IndexData = { file: options.file, seed: options.seed }
  const worker = new Worker(new URL('./index-file.thread.ts', import.meta.url), { workerData, name: 'cache-index' })
  const exited = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const loaded = new Map<number, Uint8Array>()
  const opened = Promise.withResolvers<Extract<IndexReport, { kind: 'opened' }>>()
  let changes = new Map<number, Changes>()
  let dropped: number[] = []
  let changeCount = 0
  const rowCounts = new Map<number, number>()
  let bytes = 0
  let broken = false
  let brokenAt = 0
  let running: PromiseWithResolvers<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed = false

  function fail(message: string): void {
    broken = true
    brokenAt = options.clock()
    bytes = 0
    options.failed(message)
  }

  function settle(): void {
    const done = running
    running = undefined
    worker.unref()
    options.committed()
    done?.resolve()
  }

  worker.on('message', (report: IndexReport) => {
    if (report.kind === 'segment') loaded.set(report.segment, report.packed)
    else if (report.kind === 'in-use')
      opened.reject(new EdgeError('folder_in_use', `Another process has the cache index ${options.file}.`))
    else if (report.kind === 'opened') {
      if (report.empty) loaded.clear()
      bytes = report.bytes
      opened.resolve(report)
    } else if (report.kind === 'committed') {
      bytes = report.bytes
      settle()
    } else {
      fail(report.message)
      settle()
    }
  })
  worker.on('error', (error: Error) => {
    closed = true
    fail(error.message)
    opened.reject(error)
    settle()
  })

  function changesOf(segment: number): Changes {
    if (++changeCount > mostChanges && !broken) {
      fail('it falls behind')
      worker.postMessage({ rows: [], anew: true } satisfies IndexRequest)
    }
    if (broken) changes.clear()
    let known = changes.get(segment)
    if (known === undefined) {
      known = { puts: [], gone: [] }
      changes.set(segment, known)
    }
    if (timer === undefined && !closed) timer = setTimeout(flushSoon, options.flushMs).unref()
    return known
  }

  function flushSoon(): void {
    timer = undefined
    void flush()
  }

  function takeRows(): IndexRow[] {
    const rows: IndexRow[] = []
    for (const segment of dropped) {
      rowCounts.delete(segment)
      rows.push({ segment, kind: 'drop', packed: nothing })
    }
    for (const [segment, { puts, gone }] of changes) {
      const count = (rowCounts.get(segment) ?? 0) + 1
      if (count > mostRows) {
        rowCounts.set(segment, 1)
        rows.push({ segment, kind: 'rewrite', packed: packPlaces(options.placesOf(segment)) })
        continue
      }
      rowCounts.set(segment, count)
      if (puts.length > 0) rows.push({ segment, kind: 'put', packed: packPlaces(puts) })
      if (gone.length > 0) rows.push({ segment, kind: 'gone', packed: packOffsets(gone) })
    }
    return rows
  }

  function takeEverything(): IndexRow[] {
    rowCounts.clear()
    return [...options.everything()].map(([segment, places]) => {
      rowCounts.set(segment, 1)
      return { segment, kind: 'put', packed: packPlaces(places) }
    })
  }

  async function flush(): Promise<void> {
    while (running !== undefined) await running.promise
    if (closed || (changes.size === 0 && dropped.length === 0)) return
    // What a broken index misses, it is told when it is written anew.
    const anew = broken && options.clock() - brokenAt >= options.pauseMs
    const rows = broken ? (anew ? takeEverything() : undefined) : takeRows()
    changes = new Map()
    dropped = []
    changeCount = 0
    if (rows === undefined) return options.committed()
    broken = false
    running = Promise.withResolvers<void>()
    const request: IndexRequest = { rows, anew }
    worker.ref()
    worker.postMessage(request)
    await running.promise
  }

  const { seed } = await opened.promise.catch(async (error: unknown) => {
    await worker.terminate()
    throw error
  })
  // Only work that is under way keeps the process alive.
  worker.unref()
  return {
    seed,
    loaded,
    forgetLoaded: () => loaded.clear(),
    flush,
    put(place) {
      changesOf(place.segment).puts.push(place)
    },
    gone(segment, offset) {
      changesOf(segment).gone.push(offset)
    },
    drop(segment) {
      changesOf(segment)
      changes.delete(segment)
      if (!broken) dropped.push(segment)
    },
    get bytes() {
      return bytes
    },
    async close() {
      await flush()
      clearTimeout(timer)
      worker.ref()
      if (!closed) worker.postMessage('close' satisfies IndexRequest)
      closed = true
      await exited
    },
  }
}
