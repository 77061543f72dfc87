/**
 * The database of one queue, as the writing thread has it (`core/group-commit.ts`). What was handed to consumers is
 * remembered in memory alone: after a crash it is due again, so a message is delivered at least once.
 */
import type { DatabaseSync } from 'node:sqlite'
import type { CommitTarget } from '#/core/group-commit.ts'
import type { MessageType } from '#/core/program-events.ts'
import type { Bytes, EpochMs } from '#/core/units.ts'
import { openDurableDatabase } from '../durable-database.ts'
import type { Answer, Look, Operation, TakenMessage } from './operations.ts'

export interface QueueDatabaseData {
  readonly file: string
  /** Of all bodies together. */
  readonly limitBytes: Bytes
}

const schema = `
  CREATE TABLE IF NOT EXISTS messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    sent_at INTEGER NOT NULL,
    due INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    lease TEXT,
    type TEXT NOT NULL,
    body BLOB NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS by_due ON messages (due, seq);
  CREATE TABLE IF NOT EXISTS totals (one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;
  INSERT OR IGNORE INTO totals VALUES (1, 0, 0);
  CREATE TEMP TABLE taken (seq INTEGER PRIMARY KEY) STRICT;
`

interface Row {
  seq: number
  id: string
  sent_at: number
  due: number
  attempts: number
  lease: string | null
  type: MessageType
  body: Uint8Array
}

/** Thrown as this message, which the store knows: nothing of the batch is kept. */
export const fullMessage = 'the queue is full'

export function open({ file, limitBytes }: QueueDatabaseData): CommitTarget<Operation, Answer> {
  const database = openDurableDatabase(file, schema)
  return { database, apply: createApply(database, limitBytes) }
}

function createApply(database: DatabaseSync, limitBytes: Bytes) {
  const insert = database.prepare('INSERT INTO messages (id, sent_at, due, type, body) VALUES (?, ?, ?, ?, ?)')
  const add = database.prepare('UPDATE totals SET count = count + ?, bytes = bytes + ?')
  const totals = database.prepare('SELECT count, bytes FROM totals')
  const oldest = database.prepare('SELECT sent_at FROM messages ORDER BY seq LIMIT 1')
  const free = 'FROM messages WHERE NOT EXISTS (SELECT 1 FROM taken WHERE taken.seq = messages.seq)'
  const first = database.prepare(`SELECT due ${free} ORDER BY due, seq LIMIT 1`)
  const count = database.prepare(`SELECT count(*) AS count FROM (SELECT 1 ${free} AND due <= ? LIMIT ?)`)
  const ready = database.prepare(`SELECT * ${free} AND due <= ? ORDER BY due, seq LIMIT ?`)
  const take = database.prepare('INSERT INTO taken VALUES (?)')
  const giveBack = database.prepare('DELETE FROM taken WHERE seq = ?')
  const remove = database.prepare('DELETE FROM messages WHERE seq = ? RETURNING length(body) AS bytes')
  const delay = database.prepare('UPDATE messages SET due = ?, attempts = ?, lease = NULL WHERE seq = ?')
  const lend = database.prepare('UPDATE messages SET due = ?, attempts = attempts + 1, lease = ? WHERE seq = ?')
  const leased = database.prepare('SELECT * FROM messages WHERE seq = ? AND lease = ?')
  const old = database.prepare(
    'DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE sent_at < ? ORDER BY seq LIMIT 1000) RETURNING seq, length(body) AS bytes',
  )

  function look(): Look {
    const { count: backlogCount, bytes: backlogBytes } = totals.get() as { count: number; bytes: number }
    const sentAt = oldest.get()?.sent_at as number | undefined
    const due = first.get()?.due as number | undefined
    return {
      metrics: { backlogCount, backlogBytes, ...(sentAt !== undefined && { oldestMessageTimestamp: sentAt }) },
      ...(due !== undefined && { firstDue: due }),
    }
  }

  function drop(seq: number): void {
    giveBack.run(seq)
    const gone = remove.get(seq) as { bytes: number } | undefined
    if (gone !== undefined) add.run(-1, -gone.bytes)
  }

  function send({ messages }: Extract<Operation, { kind: 'send' }>, now: EpochMs): void {
    const bytes = messages.reduce((sum, { body }) => sum + body.length, 0)
    if ((totals.get() as { bytes: number }).bytes + bytes > limitBytes) throw new Error(fullMessage)
    for (const { id, due, type, body } of messages) insert.run(id, now, due, type, body)
    add.run(messages.length, bytes)
  }

  function takeReady({ least, most, mostBytes }: Extract<Operation, { kind: 'take' }>, now: EpochMs): TakenMessage[] {
    if ((count.get(now, least) as { count: number }).count < least) return []
    const taken: TakenMessage[] = []
    let bytes = 0
    for (const row of ready.iterate(now, most) as Iterable<unknown> as Iterable<Row>) {
      bytes += row.body.length
      if (taken.length > 0 && bytes > mostBytes) break
      taken.push(toTaken(row))
    }
    for (const { seq } of taken) take.run(seq)
    return taken
  }

  function pull(wish: Extract<Operation, { kind: 'pull' }>, now: EpochMs): Pick<Answer, 'pulled' | 'dead'> {
    const rows = ready.all(now, wish.batchSize) as unknown as Row[]
    const dead = rows.filter(({ attempts }) => attempts >= wish.maxAttempts).map(toTaken)
    for (const { seq } of dead) take.run(seq)
    const pulled = rows
      .filter(({ attempts }) => attempts < wish.maxAttempts)
      .map((row) => {
        const lease = crypto.randomUUID()
        lend.run(now + wish.visibilityMs, lease, row.seq)
        const { id, sent_at: sentAt, type, body } = row
        return { id, sentAt, type, body, bytes: body.length, attempts: row.attempts + 1, lease: `${row.seq}.${lease}` }
      })
    return { pulled, dead }
  }

  function leasedRow(lease: string): Row | undefined {
    const [seq, secret] = lease.split('.')
    return /^\d{1,15}$/.test(seq ?? '') ? (leased.get(Number(seq), secret ?? '') as Row | undefined) : undefined
  }

  function answer({ acks, retries, ...rest }: Extract<Operation, { kind: 'answer' }>, now: EpochMs): Partial<Answer> {
    const unknown: string[] = []
    const dead: TakenMessage[] = []
    let acked = 0
    let retried = 0
    for (const lease of acks) {
      const row = leasedRow(lease)
      if (row === undefined) unknown.push(lease)
      else drop(row.seq)
      if (row !== undefined) acked++
    }
    for (const { lease, delayS } of retries) {
      const row = leasedRow(lease)
      if (row === undefined) {
        unknown.push(lease)
        continue
      }
      retried++
      delay.run(now + (delayS === undefined ? rest.retryDelayMs : delayS * 1000), row.attempts, row.seq)
      if (row.attempts < rest.maxAttempts) continue
      take.run(row.seq)
      dead.push(toTaken(row))
    }
    return { acked, retried, unknown, dead }
  }

  function one(operation: Operation, now: EpochMs): Partial<Answer> {
    switch (operation.kind) {
      case 'send':
        send(operation, now)
        return {}
      case 'take':
        return { taken: takeReady(operation, now) }
      case 'settle':
        for (const seq of operation.gone) drop(seq)
        for (const { seq, due, attempts } of operation.later) {
          giveBack.run(seq)
          delay.run(due, attempts, seq)
        }
        return {}
      case 'pull':
        return pull(operation, now)
      case 'answer':
        return answer(operation, now)
      case 'purge':
        database.exec('DELETE FROM messages; DELETE FROM taken; UPDATE totals SET count = 0, bytes = 0')
        return {}
      case 'expire':
        for (const { seq, bytes } of old.all(operation.sentBefore) as { seq: number; bytes: number }[]) {
          giveBack.run(seq)
          add.run(-1, -bytes)
        }
        return {}
      case 'look':
        return {}
    }
  }

  return (batch: readonly Operation[], now: EpochMs): Answer[] => {
    const answers = batch.map((operation) => one(operation, now))
    // Behind all that was sent at once, so that it comes together.
    const taken = batch.map((operation) =>
      operation.kind !== 'send' || operation.take === undefined ? {} : { taken: takeReady(operation.take, now) },
    )
    // They are told together too: one look is enough.
    const seen = look()
    return answers.map((answer, index) => ({ ...seen, ...answer, ...taken[index] }))
  }
}

function toTaken({ seq, id, sent_at: sentAt, type, body, attempts }: Row): TakenMessage {
  return { seq, id, sentAt, type, body, attempts }
}
