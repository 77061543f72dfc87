/**
 * Removes what nobody needs any more: deletes and expired entries long past, parts that no record names, signs of nodes that
 * are gone. One node at a time, and always only up to the message that was judged.
 */
import type { Limits } from '#/core/limits.ts'
import type { Lease } from '#/core/ports.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { subjectsOf } from './bucket.ts'
import { scan } from './consume.ts'
import type { Line } from './line.ts'
import { readHead, type StoredMessage } from './message.ts'
import type { Names, SubjectRoot } from './names.ts'
import { startedAt } from './parts.ts'
import type { StreamInfo } from './streams.ts'

export interface SweeperOptions {
  readonly line: Line
  readonly names: Names
  readonly clock: Clock
  readonly limits: Limits
  readonly report: (error: unknown) => void
  readonly lease: () => Promise<Lease | undefined>
}

export function createSweeper({ line, names, clock, limits, report, lease }: SweeperOptions) {
  async function purge(stream: string, filter: string, upTo?: number): Promise<void> {
    await line.call(`STREAM.PURGE.${stream}`, upTo === undefined ? { filter } : { filter, seq: upTo + 1 })
  }

  async function sweepRecords(stream: string, root: SubjectRoot): Promise<void> {
    const heads = await scan(line, stream, `${root.heads}.>`, { headersOnly: true })
    for (const { subject, sequence } of heads.filter((head) => isOver(head, clock(), limits)))
      await purge(stream, subject, sequence)
    const parts = await subjectsOf(line, stream, `${root.parts}.>`)
    // Read again: a record may have come since, and every part that was there by then has its record by now or is young.
    const named = new Set(heads.concat(await scan(line, stream, `${root.heads}.>`, { headersOnly: true })).map(partsOf))
    for (const owner of orphans(parts, named, clock() - limits.natsExpiredMs)) await purge(stream, `${owner}.*`)
  }

  async function sweepSigns(): Promise<void> {
    for (const { subject, sequence, time } of await scan(line, names.stream, `${names.signs}.>`, { headersOnly: true }))
      if (clock() - time > limits.natsExpiredMs) await purge(names.stream, subject, sequence)
  }

  async function sweep(): Promise<void> {
    const held = await lease()
    if (held === undefined) return
    try {
      await sweepSigns()
      await sweepRecords(names.stream, names.anywhere)
      await sweepRecords(names.blobStream, names.blobs)
      for (const name of await placedStreams()) await sweepRecords(name.stream, name.root)
    } finally {
      await held.release()
    }
  }

  /** Those that this user may read; others are swept by nodes that may. */
  async function placedStreams() {
    const page = await line.call<{ streams?: string[] | null }>('STREAM.NAMES', { subject: `${names.stream}.in.>` })
    const found: { stream: string; root: SubjectRoot }[] = []
    for (const stream of page?.streams ?? []) {
      const info = await line.call<StreamInfo>(`STREAM.INFO.${stream}`).catch(() => undefined)
      const heads = info?.config.subjects.find((subject) => subject.endsWith('.b.>'))?.slice(0, -2)
      if (heads !== undefined) found.push({ stream, root: { heads, parts: `${heads.slice(0, -2)}.p` } })
    }
    return found
  }

  const timer = setInterval(() => {
    if (line.state === 'here') sweep().catch(report)
  }, limits.natsSweepMs)
  timer.unref()
  return { sweep, close: () => clearInterval(timer) }
}

/** Past, and long enough that no watcher and no clock that is off by hours still needs it. */
export function isOver(
  message: StoredMessage,
  now: EpochMs,
  limits: Pick<Limits, 'natsTombstoneMs' | 'natsExpiredMs'>,
): boolean {
  const head = readHead(message)
  if (head.deleted) return now - message.time > limits.natsTombstoneMs
  return head.expiresAt !== undefined && now - head.expiresAt > limits.natsExpiredMs
}

function partsOf(message: StoredMessage): string {
  return readHead(message).parts?.id ?? ''
}

/** Subjects without their last token of parts begun before `before` that no record names. */
export function orphans(parts: readonly string[], named: ReadonlySet<string>, before: EpochMs): Set<string> {
  const found = new Set<string>()
  for (const subject of parts) {
    const owner = subject.slice(0, subject.lastIndexOf('.'))
    const id = owner.slice(owner.lastIndexOf('.') + 1)
    if (!named.has(id) && startedAt(id) < before) found.add(owner)
  }
  return found
}
