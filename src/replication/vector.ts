/**
 * What a node has seen: for each scope and origin the number up to which its state holds the effect of every operation.
 * Pure.
 */
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import type { Origin, Scope } from './operation.ts'

/** By scope, then origin; absent is 0. */
export type Vector = Readonly<Record<Scope, Readonly<Record<Origin, number>>>>

export type Mark = readonly [scope: Scope, origin: Origin, seq: number]

/** The scope of what may lie in no country at all. */
const nobody = '-'

export function scopeOf(within: Within | undefined): Scope {
  if (within === undefined) return ''
  return within.length === 0 ? nobody : [...new Set(within)].sort().join(',')
}

/** May a node in this country hold what is in the scope? */
export function mayHold(scope: Scope, country: CountryCode): boolean {
  return scope === '' || allows(scope.split(','), country)
}

export function seqOf(vector: Vector, scope: Scope, origin: Origin): number {
  return vector[scope]?.[origin] ?? 0
}

export function marksOf(vector: Vector): Mark[] {
  return Object.entries(vector).flatMap(([scope, seqs]) =>
    Object.entries(seqs).map(([origin, seq]): Mark => [scope, origin, seq]),
  )
}

export function toVector(marks: readonly Mark[]): Vector {
  const vector: Record<Scope, Record<Origin, number>> = {}
  for (const [scope, origin, seq] of marks) {
    vector[scope] ??= {}
    vector[scope][origin] = seq
  }
  return vector
}

/**
 * The part that concerns a node in this country, and what was seen of the operations of its own `origin`, which it may have
 * handed over: beyond that it learns not even that there is more.
 */
export function vectorFor(vector: Vector, country: CountryCode, origin?: Origin): Vector {
  const parts = Object.entries(vector).flatMap(([scope, seqs]): [Scope, Vector[Scope]][] => {
    if (mayHold(scope, country)) return [[scope, seqs]]
    return origin === undefined || seqs[origin] === undefined ? [] : [[scope, { [origin]: seqs[origin] }]]
  })
  return Object.fromEntries(parts)
}

/** What `theirs` has and `ours` lacks, of what a node in this country may hold. */
export function lacking(ours: Vector, theirs: Vector, country: CountryCode): Mark[] {
  return marksOf(theirs).filter(([scope, origin, seq]) => mayHold(scope, country) && seq > seqOf(ours, scope, origin))
}

/** How many operations `ours` lacks. */
export function countLacking(ours: Vector, theirs: Vector, country: CountryCode): number {
  return lacking(ours, theirs, country).reduce((sum, [scope, origin, seq]) => sum + seq - seqOf(ours, scope, origin), 0)
}

/** Does the state of `ours` hold the effect of every operation of `theirs`? */
export function covers(ours: Vector, theirs: Vector, country: CountryCode): boolean {
  return lacking(ours, theirs, country).length === 0
}
