/**
 * This node's vector while it runs. Batches may overtake each other: what arrived beyond a gap is remembered, and counts
 * once the gap is filled.
 */
import type { Origin, Scope } from './operation.ts'
import { type Mark, marksOf, seqOf, type Vector } from './vector.ts'

export interface Seen {
  vector(): Vector
  /** Operations `from` to `to` are in the state. Says whether the vector reaches `to` now. */
  add(scope: Scope, origin: Origin, from: number, to: number): boolean
  /** The state holds all that somebody with this vector has. */
  raise(vector: Vector): void
  /** What changed since the last call, to be written down. */
  takeChanged(): Mark[]
}

/** Ranges beyond a gap, of one origin; more are forgotten and asked for again. */
const rangesKept = 256

export function createSeen(start: Vector): Seen {
  const seqs: Record<Scope, Record<Origin, number>> = structuredClone(start) as Record<Scope, Record<Origin, number>>
  const beyond = new Map<string, [from: number, to: number][]>()
  const changed = new Map<string, Mark>()

  function set(scope: Scope, origin: Origin, seq: number): void {
    seqs[scope] ??= {}
    if (seq <= (seqs[scope][origin] ?? 0)) return
    seqs[scope][origin] = seq
    const name = `${scope} ${origin}`
    changed.set(name, [scope, origin, seq])
    const waiting = beyond.get(name)
    if (waiting === undefined) return
    // Not one that is passed already: it would hide the others.
    const next = waiting.find(([from, to]) => from <= seq + 1 && to > seq)
    const left = waiting.filter((range) => range !== next && range[1] > seq)
    if (left.length === 0) beyond.delete(name)
    else beyond.set(name, left)
    if (next !== undefined) set(scope, origin, next[1])
  }

  return {
    vector: () => seqs,
    add(scope, origin, from, to) {
      if (from <= seqOf(seqs, scope, origin) + 1) set(scope, origin, to)
      else {
        const name = `${scope} ${origin}`
        const ranges = beyond.get(name) ?? []
        if (ranges.length < rangesKept) ranges.push([from, to])
        beyond.set(name, ranges)
      }
      return seqOf(seqs, scope, origin) >= to
    },
    raise(vector) {
      for (const [scope, origin, seq] of marksOf(vector)) set(scope, origin, seq)
    },
    takeChanged() {
      const marks = [...changed.values()]
      changed.clear()
      return marks
    },
  }
}
