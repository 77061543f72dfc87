/** What is written to the index of one bucket; each function runs inside a transaction of the writing thread. */
import { createHash, randomBytes } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import {
  type BucketNotice,
  isLocked,
  isWatched,
  type LockRule,
  type NoticeAction,
  type NoticeRule,
} from '#/core/bucket-settings.ts'
import type { BucketObject, Digests, ObjectFacts, Preconditions, Troubled, UploadedPart } from '#/core/buckets.ts'
import type { EpochMs } from '#/core/units.ts'
import { holds } from './preconditions.ts'
import { type FileName, keyBytes, keyText, type ObjectRow, toObject } from './rows.ts'

export interface StoredBody {
  readonly bytes: number
  /** MD5 and whatever else was computed. */
  readonly digests: Digests & { readonly md5: string }
  /** Where the bytes are: here, or in a file. */
  readonly inline?: Uint8Array
  readonly file?: FileName
}

export type WriteOperation =
  | {
      readonly do: 'put'
      readonly facts: ObjectFacts
      readonly body: StoredBody
      readonly onlyIf?: Preconditions
      readonly copyOf?: BucketNotice['copySource']
    }
  | { readonly do: 'delete'; readonly keys: readonly string[] }
  | { readonly do: 'create-upload'; readonly facts: ObjectFacts }
  | {
      readonly do: 'put-part'
      readonly key: string
      readonly uploadId: string
      readonly number: number
      readonly body: StoredBody
    }
  | {
      readonly do: 'complete-upload'
      readonly key: string
      readonly uploadId: string
      readonly parts: readonly UploadedPart[]
    }
  | { readonly do: 'abort-upload'; readonly key: string; readonly uploadId: string }
  | { readonly do: 'close'; readonly open: boolean }
  /** Forgets uploads that ended before. */
  | { readonly do: 'forget-uploads'; readonly before: EpochMs }
  /** Aborts uploads of these keys that began no later than `before`. */
  | { readonly do: 'expire-uploads'; readonly before: EpochMs; readonly prefix: string }
  /** Deletes these versions, or gives them another class, unless they were replaced meanwhile. */
  | {
      readonly do: 'expire' | 'demote'
      readonly versions: readonly { readonly key: string; readonly version: string }[]
    }
  /** Forgets what queues were told. */
  | { readonly do: 'told'; readonly ids: readonly number[] }

/** What the owner asks of every write; from the bucket's settings. */
export interface WritePolicy {
  readonly lock: readonly LockRule[]
  readonly notices: readonly { readonly queue: string; readonly rules: readonly NoticeRule[] }[]
}

export interface WriteAnswer {
  readonly head: { readonly [name: string]: unknown } | Troubled
  /** Files that nothing names any more once this is committed. */
  readonly garbage: readonly FileName[]
}

export interface WriteLimits {
  readonly bucketPartBytes: number
  readonly bucketObjectBytes: number
  readonly bucketUploads: number
  readonly bucketNotices: number
}

type Write = (operation: WriteOperation & { readonly policy?: WritePolicy }, now: EpochMs) => WriteAnswer

export function createWriter(database: DatabaseSync, limits: WriteLimits): Write {
  const find = database.prepare('SELECT * FROM objects WHERE key = ?')
  const insert = database.prepare('INSERT INTO objects VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id')
  const remove = database.prepare('DELETE FROM objects WHERE id = ?')
  const insertBody = database.prepare('INSERT INTO bodies VALUES (?, ?)')
  const removeBody = database.prepare('DELETE FROM bodies WHERE object = ?')
  const insertPiece = database.prepare('INSERT INTO pieces VALUES (?, ?, ?, ?)')
  const removePieces = database.prepare('DELETE FROM pieces WHERE object = ? RETURNING file')
  const addUp = database.prepare('UPDATE sums SET objects = objects + ?, bytes = bytes + ?, uploads = uploads + ?')
  const setClosed = database.prepare('UPDATE sums SET closed = ?')
  const sums = database.prepare('SELECT * FROM sums')
  const findUpload = database.prepare('SELECT * FROM uploads WHERE id = ? AND key = ?')
  const insertUpload = database.prepare('INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, NULL)')
  const endUpload = database.prepare('UPDATE uploads SET ended_at = ? WHERE id = ?')
  const oldUploads = database.prepare('SELECT id, key FROM uploads WHERE created_at <= ? AND ended_at IS NULL')
  const insertNotice = database.prepare('INSERT INTO notices (queue, notice) VALUES (?, ?)')
  const removeNotice = database.prepare('DELETE FROM notices WHERE id = ?')
  const noticeIds = database.prepare('SELECT min(id) AS first, max(id) AS last FROM notices')
  const demote = database.prepare("UPDATE objects SET class = 'InfrequentAccess' WHERE id = ?")
  let policy: WritePolicy = { lock: [], notices: [] }
  const forgetUploads = database.prepare('DELETE FROM uploads WHERE ended_at < ?')
  const partsOf = database.prepare('SELECT * FROM parts WHERE upload = ? ORDER BY number')
  const removePart = database.prepare('DELETE FROM parts WHERE upload = ? AND number = ? RETURNING file')
  const insertPart = database.prepare('INSERT INTO parts VALUES (?, ?, ?, ?, ?, ?)')
  const removeParts = database.prepare('DELETE FROM parts WHERE upload = ? RETURNING file')

  const filesOf = (rows: unknown) => (rows as { file: string }[]).map(({ file }) => file)
  const isClosed = () => (sums.get() as { closed: number }).closed === 1

  const locked = (row: ObjectRow, now: EpochMs) => isLocked(keyText(row.key), row.uploaded_at, policy.lock, now)

  /** In the same transaction as the change; what a queue that takes nothing leaves here is bounded. */
  function tell(
    action: NoticeAction,
    key: string,
    now: EpochMs,
    more: Partial<BucketNotice['object']> = {},
    copySource?: BucketNotice['copySource'],
  ) {
    for (const { queue, rules } of policy.notices) {
      if (!rules.some((rule) => isWatched(rule, action, key))) continue
      const { first, last } = noticeIds.get() as { first: number | null; last: number | null }
      if (first !== null && last! - first + 1 >= limits.bucketNotices) return
      const notice: BucketNotice = {
        ...{ action, object: { key, ...more }, eventTime: new Date(now).toISOString() },
        ...(copySource && { copySource }),
      }
      insertNotice.run(queue, JSON.stringify(notice))
    }
  }

  function drop(row: ObjectRow): FileName[] {
    remove.run(row.id)
    removeBody.run(row.id)
    addUp.run(-1, -row.bytes, 0)
    return filesOf(removePieces.all(row.id))
  }

  function add(facts: ObjectFacts, body: Pick<BucketObject, 'bytes' | 'etag' | 'digests'>, now: EpochMs): ObjectRow {
    const { key, http = {}, custom = {}, storageClass = 'Standard' } = facts
    const row = {
      key: keyBytes(key),
      version: randomBytes(16).toString('hex'),
      bytes: body.bytes,
      etag: body.etag,
      uploaded_at: now,
      digests: JSON.stringify(body.digests),
      http: JSON.stringify(http),
      custom: JSON.stringify(custom),
      class: storageClass,
    }
    const { id } = insert.get(...Object.values(row)) as { id: number }
    addUp.run(1, body.bytes, 0)
    return { id, ...row }
  }

  function put({ facts, body, onlyIf, copyOf }: Extract<WriteOperation, { do: 'put' }>, now: EpochMs): WriteAnswer {
    const unused = body.file === undefined ? [] : [body.file]
    if (isClosed()) return { head: { trouble: 'no_bucket' }, garbage: unused }
    const known = find.get(keyBytes(facts.key)) as ObjectRow | undefined
    if (onlyIf !== undefined && !holds(onlyIf, known && toObject(known)))
      return { head: { trouble: 'unmet' }, garbage: unused }
    if (known !== undefined && locked(known, now)) return { head: { trouble: 'locked' }, garbage: unused }
    const garbage = known === undefined ? [] : drop(known)
    const { bytes, digests, inline, file } = body
    const row = add(facts, { bytes, etag: digests.md5, digests }, now)
    if (inline !== undefined) insertBody.run(row.id, inline)
    if (file !== undefined) insertPiece.run(row.id, 0, bytes, file)
    tell(copyOf ? 'CopyObject' : 'PutObject', facts.key, now, { size: bytes, eTag: row.etag }, copyOf)
    return { head: { object: toObject(row) }, garbage }
  }

  function createUpload({ facts }: Extract<WriteOperation, { do: 'create-upload' }>, now: EpochMs): WriteAnswer {
    const { uploads } = sums.get() as { uploads: number }
    if (isClosed()) return { head: { trouble: 'no_bucket' }, garbage: [] }
    if (uploads >= limits.bucketUploads)
      return {
        head: { trouble: 'bad_argument', detail: `${uploads} unfinished uploads are as many as are allowed.` },
        garbage: [],
      }
    const id = randomBytes(96).toString('base64url')
    const { key, http = {}, custom = {}, storageClass = 'Standard' } = facts
    insertUpload.run(id, keyBytes(key), now, JSON.stringify(http), JSON.stringify(custom), storageClass)
    addUp.run(0, 0, 1)
    return { head: { uploadId: id }, garbage: [] }
  }

  function putPart(operation: Extract<WriteOperation, { do: 'put-part' }>, now: EpochMs): WriteAnswer {
    const { key, uploadId, number, body } = operation
    const upload = findUpload.get(uploadId, keyBytes(key)) as UploadRow | undefined
    if (upload === undefined || upload.ended_at !== null)
      return { head: { trouble: 'no_upload' }, garbage: [body.file!] }
    const garbage = filesOf(removePart.all(uploadId, number))
    insertPart.run(uploadId, number, body.bytes, body.digests.md5, now, body.file!)
    return { head: { etag: body.digests.md5 }, garbage }
  }

  function completeUpload(operation: Extract<WriteOperation, { do: 'complete-upload' }>, now: EpochMs): WriteAnswer {
    const { key, uploadId, parts } = operation
    const upload = findUpload.get(uploadId, keyBytes(key)) as UploadRow | undefined
    if (upload === undefined || upload.ended_at !== null) return { head: { trouble: 'no_upload' }, garbage: [] }
    if (isClosed()) return { head: { trouble: 'no_bucket' }, garbage: [] }
    const chosen = chooseParts(partsOf.all(uploadId) as unknown as PartRow[], parts, limits)
    if ('trouble' in chosen) return { head: chosen, garbage: [] }
    const known = find.get(keyBytes(key)) as ObjectRow | undefined
    if (known !== undefined && locked(known, now)) return { head: { trouble: 'locked' }, garbage: [] }
    const garbage = known === undefined ? [] : drop(known)
    const bytes = chosen.rows.reduce((sum, part) => sum + part.bytes, 0)
    const md5 = createHash('md5')
    for (const part of chosen.rows) md5.update(part.etag, 'hex')
    const facts = {
      key,
      http: JSON.parse(upload.http),
      custom: JSON.parse(upload.custom),
      storageClass: upload.class,
    } as ObjectFacts
    const row = add(facts, { bytes, etag: `${md5.digest('hex')}-${chosen.rows.length}`, digests: {} }, now)
    let start = 0
    for (const part of chosen.rows) {
      // Parts without bytes have no piece: two would start at the same place.
      if (part.bytes > 0) insertPiece.run(row.id, start, part.bytes, part.file)
      start += part.bytes
    }
    const used = new Set(chosen.rows.filter((part) => part.bytes > 0).map((part) => part.file))
    garbage.push(...filesOf(removeParts.all(uploadId)).filter((file) => !used.has(file)))
    endUpload.run(now, uploadId)
    addUp.run(0, 0, -1)
    tell('CompleteMultipartUpload', key, now, { size: bytes, eTag: row.etag })
    return { head: { object: toObject(row) }, garbage }
  }

  function end(uploadId: string, now: EpochMs): FileName[] {
    endUpload.run(now, uploadId)
    addUp.run(0, 0, -1)
    return filesOf(removeParts.all(uploadId))
  }

  function abortUpload(operation: Extract<WriteOperation, { do: 'abort-upload' }>, now: EpochMs): WriteAnswer {
    const upload = findUpload.get(operation.uploadId, keyBytes(operation.key)) as UploadRow | undefined
    if (upload === undefined) return { head: { trouble: 'no_upload' }, garbage: [] }
    if (upload.ended_at !== null) return { head: {}, garbage: [] }
    tell('AbortMultipartUpload', operation.key, now)
    return { head: {}, garbage: end(upload.id, now) }
  }

  function close({ open }: Extract<WriteOperation, { do: 'close' }>): WriteAnswer {
    const { objects } = sums.get() as { objects: number }
    if (!open && objects > 0) return { head: { trouble: 'not_empty' }, garbage: [] }
    setClosed.run(open ? 0 : 1)
    return { head: {}, garbage: [] }
  }

  function removeKeys(keys: readonly string[], now: EpochMs): WriteAnswer {
    const kept: string[] = []
    const garbage: FileName[] = []
    for (const key of keys) {
      const row = find.get(keyBytes(key)) as ObjectRow | undefined
      if (row === undefined) continue
      if (locked(row, now)) {
        kept.push(key)
        continue
      }
      garbage.push(...drop(row))
      tell('DeleteObject', key, now)
    }
    return { head: { locked: kept }, garbage }
  }

  function age(operation: Extract<WriteOperation, { do: 'expire' | 'demote' }>, now: EpochMs): WriteAnswer {
    const garbage: FileName[] = []
    let count = 0
    for (const { key, version } of operation.versions) {
      const row = find.get(keyBytes(key)) as ObjectRow | undefined
      if (row?.version !== version) continue
      if (operation.do === 'demote') demote.run(row.id)
      else if (locked(row, now)) continue
      else {
        garbage.push(...drop(row))
        tell('LifecycleDeletion', key, now)
      }
      count++
    }
    return { head: { count }, garbage }
  }

  return (operation, now) => {
    policy = operation.policy ?? { lock: [], notices: [] }
    switch (operation.do) {
      case 'put':
        return put(operation, now)
      case 'delete':
        return removeKeys(operation.keys, now)
      case 'create-upload':
        return createUpload(operation, now)
      case 'put-part':
        return putPart(operation, now)
      case 'complete-upload':
        return completeUpload(operation, now)
      case 'abort-upload':
        return abortUpload(operation, now)
      case 'close':
        return close(operation)
      case 'expire-uploads': {
        const all = oldUploads.all(operation.before) as { id: string; key: Uint8Array }[]
        const old = all.filter(({ key }) => keyText(key).startsWith(operation.prefix))
        return { head: {}, garbage: old.flatMap(({ id }) => end(id, now)) }
      }
      case 'forget-uploads':
        forgetUploads.run(operation.before)
        return { head: {}, garbage: [] }
      case 'expire':
      case 'demote':
        return age(operation, now)
      case 'told':
        for (const id of operation.ids) removeNotice.run(id)
        return { head: {}, garbage: [] }
    }
  }
}

interface UploadRow {
  readonly id: string
  readonly http: string
  readonly custom: string
  readonly class: string
  readonly ended_at: number | null
}

interface PartRow {
  readonly number: number
  readonly bytes: number
  readonly etag: string
  readonly file: string
}

/** «R2 > Upload objects > Multipart»: 5 MiB at least and all of one size, the last one aside, which may be smaller. */
function chooseParts(
  held: readonly PartRow[],
  wished: readonly UploadedPart[],
  limits: WriteLimits,
): Troubled | { readonly rows: readonly PartRow[] } {
  const byNumber = new Map(held.map((part) => [part.number, part]))
  const rows: PartRow[] = []
  const seen = new Set<number>()
  for (const { number, etag } of wished) {
    const part = byNumber.get(number)
    if (part?.etag !== etag) return { trouble: 'bad_part' }
    if (seen.has(number)) return { trouble: 'bad_part', detail: `Part ${number} is named twice.` }
    seen.add(number)
    rows.push(part)
  }
  if (rows.length === 0) return { trouble: 'bad_part', detail: 'An object has one part at least.' }
  // In the order of the call too, as R2 looks at them.
  if (rows.slice(0, -1).some(({ bytes }) => bytes < limits.bucketPartBytes)) return { trouble: 'part_too_small' }
  rows.sort((one, other) => one.number - other.number)
  const [size, last] = [rows[0]!.bytes, rows.at(-1)!.bytes]
  for (const { bytes } of rows.slice(0, -1)) {
    if (bytes !== size) return { trouble: 'uneven_parts', detail: 'All non-trailing parts must have the same length.' }
  }
  if (rows.length > 1 && last > size)
    return { trouble: 'uneven_parts', detail: 'The last part must not be longer than the others.' }
  if (size * (rows.length - 1) + last > limits.bucketObjectBytes) return { trouble: 'too_large' }
  return { rows }
}
