/**
 * Purges on disk until the store has carried them out, so that a node that is killed right after an acknowledgement does
 * not answer with what was purged when it starts again. Two files: one that is written, one whose purges are being done.
 */
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { PurgeWish } from '#/core/cache-policy.ts'

export interface PurgeJournal {
  /** What an earlier run acknowledged and did not finish. */
  readonly unfinished: readonly PurgeWish[]
  /** Resolves when it is on disk; what comes meanwhile goes with the next write. */
  append(wishes: readonly PurgeWish[]): Promise<void>
  /** Everything appended so far is about to be carried out. */
  begin(): Promise<void>
  /** It was. */
  finish(): Promise<void>
  close(): Promise<void>
}

const current = 'purges.jsonl'
const underway = 'purges-underway.jsonl'

/** `folder` exists. Rejects when it cannot be written to. */
export async function openPurgeJournal(folder: string): Promise<PurgeJournal> {
  const names = { current: join(folder, current), underway: join(folder, underway) }
  const unfinished = [...(await read(names.underway)), ...(await read(names.current))]
  let file = await open(names.current, 'a', 0o600)
  let waiting: string[] = []
  let hasUnderway = unfinished.length > 0
  /** Writes and renames take turns. */
  let turn: Promise<void> = Promise.resolve()
  let next: Promise<void> | undefined

  function inTurn(step: () => Promise<void>): Promise<void> {
    const done = turn.then(step)
    turn = done.catch(() => {})
    return done
  }

  async function write(): Promise<void> {
    next = undefined
    // A line of its own, also behind one that the end of a process cut off.
    const text = `\n${waiting.join('')}`
    waiting = []
    await file.appendFile(text)
    await file.datasync()
  }

  async function rotate(): Promise<void> {
    // What could not be carried out last time stays; the file that is written grows meanwhile.
    if (hasUnderway) return
    await file.close()
    await rename(names.current, names.underway)
    hasUnderway = true
    file = await open(names.current, 'a', 0o600)
  }

  return {
    unfinished,
    append(wishes) {
      for (const wish of wishes) waiting.push(`${JSON.stringify(wish)}\n`)
      next ??= inTurn(write)
      return next
    },
    begin: () => inTurn(rotate),
    finish: () =>
      inTurn(async () => {
        await rm(names.underway, { force: true })
        hasUnderway = false
      }),
    async close() {
      await turn
      await file.close()
    },
  }

  async function read(name: string): Promise<PurgeWish[]> {
    const text = await readFile(name, 'utf8').catch(() => '')
    const wishes: PurgeWish[] = []
    for (const line of text.split('\n')) {
      const wish = line === '' ? undefined : parse(line)
      if (wish !== undefined) wishes.push(wish)
    }
    return wishes
  }
}

/** Undefined for a line that was cut off: its purge was never acknowledged. */
function parse(line: string): PurgeWish | undefined {
  try {
    return JSON.parse(line) as PurgeWish
  } catch {
    return undefined
  }
}

/** For tests and for stores that forget everything with the process. */
export function noPurgeJournal(): PurgeJournal {
  const nothing = async () => {}
  return { unfinished: [], append: nothing, begin: nothing, finish: nothing, close: nothing }
}
