/** Programs asked for lately, across restarts: they are warmed before traffic reaches them. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Limits } from '#/core/limits.ts'
import type { ProgramName } from '#/core/snapshot.ts'

export interface Recent {
  note(program: ProgramName): void
  /** Latest first. */
  names(): ProgramName[]
  close(): void
}

const writeEveryMs = 5_000

/** Reads `folder/warm.json`, and writes it at most every 5 s when it changed. A lost or broken file costs only warmth. */
export function openRecent(folder: string, limits: Pick<Limits, 'recentPrograms'>): Recent {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, 'warm.json')
  const order = new Set<ProgramName>(readNames(file))
  let last: ProgramName | undefined
  let changed = false

  function write(): void {
    if (!changed) return
    changed = false
    try {
      writeFileSync(`${file}.new`, JSON.stringify([...order]), { mode: 0o600 })
      renameSync(`${file}.new`, file)
    } catch {
      // A full disk: nothing is lost but warmth.
    }
  }
  const timer = setInterval(write, writeEveryMs)
  timer.unref()

  return {
    note(program) {
      if (program === last) return
      last = program
      changed = true
      order.delete(program)
      order.add(program)
      if (order.size > limits.recentPrograms) order.delete(order.values().next().value!)
    },
    names: () => [...order].reverse(),
    close() {
      clearInterval(timer)
      write()
    },
  }
}

function readNames(file: string): ProgramName[] {
  try {
    const names: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : []
  } catch {
    return []
  }
}
