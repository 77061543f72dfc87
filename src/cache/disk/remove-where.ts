/**
 * Removal by what heads say, over everything on disk: one reading of all segments serves every removal that was asked for
 * before it began.
 */
import type { StoredHead } from '../store.ts'
import type { DiskWriter } from './disk-writer.ts'
import { readWindows } from './read-windows.ts'
import { readHead } from './record.ts'
import type { Segment } from './segments.ts'
import type { Shelf } from './shelf.ts'

type Match = (head: StoredHead) => boolean

interface Job {
  readonly match: Match
  removed: number
  readonly done: (removed: number) => void
}

/** The returned function resolves with how many were removed, when the index on disk knows it too. */
export function createSweeper(
  shelf: Shelf,
  writer: DiskWriter,
  flush: () => Promise<void>,
): (match: Match) => Promise<number> {
  let asked: Job[] = []
  let running = false

  async function run(): Promise<void> {
    running = true
    while (asked.length > 0) {
      const jobs = asked
      asked = []
      // What is stored or moved while the segments are read would be passed over: it is asked at the door.
      writer.refuse = (head) => [...jobs, ...asked].some(({ match }) => match(head))
      for (const segment of [...shelf.segments.all.values()]) await sweepSegment(segment, jobs)
      await flush()
      for (const job of jobs) job.done(job.removed)
    }
    writer.refuse = undefined
    running = false
  }

  async function sweepSegment(segment: Segment, jobs: readonly Job[]): Promise<void> {
    for await (const window of readWindows(shelf, segment, shelf.index.slotsOf(segment.number)))
      for (const { slot, raw } of window) {
        const head = readHead(raw)
        const job = head === undefined ? undefined : jobs.find(({ match }) => match(head))
        if (job === undefined && head !== undefined) continue
        shelf.remove(slot)
        if (job !== undefined) job.removed++
      }
  }

  return (match) =>
    new Promise((done) => {
      asked.push({ match, removed: writer.cancelWhere(match), done })
      if (!running) void run()
    })
}
