/** Buckets: a key is a subject, its last message the entry. */

import { checkEntry } from '#/core/check-entry.ts'
import type { Limits } from '#/core/limits.ts'
import type { Bucket, Entry, ListOptions, PutOptions, Revision } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import type { Turns } from '../sqlite/turns.ts'
import { scan } from './consume.ts'
import { inOrder } from './in-order.ts'
import type { Line } from './line.ts'
import { headerNames, isLive, type PartList, readHead, type StoredMessage, writeParts } from './message.ts'
import { fromToken, type SubjectRoot, toBytes, toToken } from './names.ts'
import type { Parts } from './parts.ts'
import type { StreamInfo } from './streams.ts'

export interface BucketOptions {
  readonly name: string
  readonly stream: string
  readonly root: SubjectRoot
  readonly line: Line
  readonly parts: Parts
  readonly turns: Turns
  readonly clock: Clock
  readonly limits: Limits
}

export type StoredBucket = Omit<Bucket, 'watch'>

export function createStoredBucket({
  name,
  stream,
  root,
  line,
  parts,
  turns,
  clock,
  limits,
}: BucketOptions): StoredBucket {
  const owner = toToken(name)
  const heads = `${root.heads}.${owner}`
  const subjectOf = (key: string) => `${heads}.${toToken(key)}`
  const nothing = new Uint8Array()

  async function writeValue(
    key: string,
    value: Uint8Array,
    { expect, expiresAt }: PutOptions,
  ): Promise<Revision | undefined> {
    const fields: Record<string, string> = {}
    if (expiresAt !== undefined) fields[headerNames.expiresAt] = String(expiresAt)
    if (value.length <= limits.natsPartBytes) return writeHead(key, value, fields, expect)
    const list = await parts.write([value], clock(), owner)
    fields[headerNames.parts] = writeParts(list)
    const revision = await writeHead(key, nothing, fields, expect)
    if (revision === undefined) await parts.remove(list, owner)
    return revision
  }

  async function writeHead(
    key: string,
    data: Uint8Array,
    headers: Record<string, string>,
    expect: Revision | undefined,
  ): Promise<Revision | undefined> {
    const subject = subjectOf(key)
    if (expect === undefined) return line.write(stream, subject, data, { headers })
    if (expect > 0) {
      const head = await readHeadOf(subject)
      // An expired entry is not there, whatever its revision.
      if (head === undefined || head.sequence !== expect || !isLive(head, clock())) return undefined
      return line.write(stream, subject, data, { headers, expect })
    }
    for (let sequence = 0; ; ) {
      const revision = await line.write(stream, subject, data, { headers, expect: sequence })
      if (revision !== undefined) return revision
      // Somebody's entry, or what is left of one: a delete, an expired one, or one that a sweep has just removed.
      const head = await readHeadOf(subject)
      if (head !== undefined && isLive(head, clock())) return undefined
      sequence = head?.sequence ?? 0
    }
  }

  async function readHeadOf(subject: string) {
    const message = await line.readLast(stream, subject)
    return message && readHead(message)
  }

  async function remove(key: string, expect: Revision | undefined): Promise<boolean> {
    const subject = subjectOf(key)
    for (;;) {
      const head = await readHeadOf(subject)
      if (head === undefined || !isLive(head, clock())) return false
      if (expect !== undefined && head.sequence !== expect) return false
      const headers = { [headerNames.deleted]: '1' }
      if ((await line.write(stream, subject, nothing, { headers, expect: head.sequence })) !== undefined) return true
    }
  }

  /** The entry of a key as it is now; `cut`: its value's first so many bytes. */
  async function readEntry(key: string, cut = Number.POSITIVE_INFINITY): Promise<Entry | undefined> {
    for (let before = 0; ; ) {
      const message = await line.readLast(stream, subjectOf(key))
      if (message === undefined || !isLive(readHead(message), clock())) return undefined
      const entry = await toEntry(message, key, parts, owner, cut, limits)
      if (entry !== undefined) return entry
      // Its parts are gone because a later one took its place; the same twice is damage.
      if (before === message.sequence)
        throw new Error(`The value of ${name}/${key} is damaged: parts of it are missing.`)
      before = message.sequence
    }
  }

  async function list({ prefix = '', after, limit, keysOnly, valueBytes }: ListOptions): Promise<readonly Entry[]> {
    const entries: Entry[] = []
    if (limit <= 0) return entries
    const keys = pickKeys(await subjectsOf(line, stream, `${heads}.*`), heads.length + 1, prefix, after)
    if (keysOnly && keys.length > limits.natsReadsAtOnce) return listHeads(keys, limit)
    const cut = keysOnly ? 0 : valueBytes
    const atOnce = Math.min(limits.natsReadsAtOnce, limit)
    for await (const entry of inOrder(keys, atOnce, (key) => readEntry(key, cut))) {
      if (entry !== undefined) entries.push(entry)
      if (entries.length >= limit) break
    }
    return entries
  }

  /** One reading of all heads instead of a question for each key. */
  async function listHeads(keys: readonly string[], limit: number): Promise<readonly Entry[]> {
    const heard = await scan(line, stream, `${heads}.*`, { headersOnly: true })
    const all = new Map(heard.map((message) => [keyOf(message.subject), readHead(message)]))
    const entries: Entry[] = []
    for (const key of keys) {
      const head = all.get(key)
      if (head === undefined || !isLive(head, clock())) continue
      const { sequence: revision, expiresAt } = head
      entries.push({ key, value: nothing, revision, ...(expiresAt !== undefined && { expiresAt }) })
      if (entries.length >= limit) break
    }
    return entries
  }

  return {
    get: (key) => readEntry(key),
    list,
    put(key, bytes, options = {}) {
      checkEntry(key, bytes, limits)
      // A copy: the caller may go on writing into its bytes.
      const value = new Uint8Array(bytes)
      return turns.take(`${stream} ${subjectOf(key)}`, () => writeValue(key, value, options))
    },
    delete: (key, { expect } = {}) => turns.take(`${stream} ${subjectOf(key)}`, () => remove(key, expect)),
  }
}

/** `undefined` when parts are missing. */
export async function toEntry(
  message: StoredMessage,
  key: string,
  parts: Parts,
  owner: string,
  cut: number,
  limits: Pick<Limits, 'natsReadsAtOnce' | 'natsPartBytes'>,
): Promise<Entry | undefined> {
  const { sequence: revision, expiresAt, parts: list } = readHead(message)
  const value = list === undefined ? message.data.subarray(0, cut) : await join(list, parts, owner, cut, limits)
  if (value === undefined) return undefined
  return expiresAt === undefined ? { key, value, revision } : { key, value, revision, expiresAt }
}

async function join(
  list: PartList,
  parts: Parts,
  owner: string,
  cut: number,
  limits: Pick<Limits, 'natsReadsAtOnce' | 'natsPartBytes'>,
): Promise<Uint8Array | undefined> {
  const value = Buffer.allocUnsafeSlow(Math.min(list.bytes, cut))
  const needed = Math.min(list.count, Math.ceil(value.length / limits.natsPartBytes))
  let filled = 0
  for await (const part of inOrder(Array(needed).keys(), limits.natsReadsAtOnce, (i) => parts.read(list, i, owner))) {
    if (part === undefined) return undefined
    value.set(part.subarray(0, value.length - filled), filled)
    filled += part.length
  }
  return value
}

/** Every subject under the filter that has a message, from the stream's leader. */
export async function subjectsOf(line: Line, stream: string, filter: string): Promise<string[]> {
  const all: string[] = []
  for (;;) {
    const info = await line.call<StreamInfo>(`STREAM.INFO.${stream}`, { subjects_filter: filter, offset: all.length })
    const page = Object.keys(info?.state.subjects ?? {})
    all.push(...page)
    if (page.length === 0 || all.length >= (info?.total ?? 0)) return all
  }
}

function pickKeys(subjects: readonly string[], tokenAt: number, prefix: string, after: string | undefined): string[] {
  const low = Buffer.from(prefix)
  const behind = after === undefined ? undefined : Buffer.from(after)
  return subjects
    .map((subject) => toBytes(subject.slice(tokenAt)))
    .filter((key) => key.subarray(0, low.length).equals(low) && (behind === undefined || key.compare(behind) > 0))
    .sort(Buffer.compare)
    .map((key) => key.toString())
}

/** Key of a record's subject. */
export function keyOf(subject: string): string {
  return fromToken(subject.slice(subject.lastIndexOf('.') + 1))
}
