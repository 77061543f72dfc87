/**
 * One node's side of the configuration: it starts from what it served last, follows what is committed, keeps the last good
 * revision when one cannot be adopted, tries that one again until there is a newer one, and writes to its own disk what it serves.
 */

import { changedPrograms } from '#/core/changed-sites.ts'
import { withoutElsewhere } from '#/core/elsewhere.ts'
import { onlyHere } from '#/core/keep-inside.ts'
import type { Limits } from '#/core/limits.ts'
import type { CountryCode } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import { retryAfter } from '#/core/retry-after.ts'
import type { Deployment, Snapshot } from '#/core/snapshot.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import { type Bring, bringDeployment } from './bring-blobs.ts'
import { checkSnapshot } from './check-snapshot.ts'
import { openServedStore } from './served-store.ts'

export interface FollowerStatus {
  /** Of what it serves. */
  readonly revision: number
  /** Of the newest that it was given. */
  readonly wanted: number
  /** When it began to serve this revision. */
  readonly servedSince: EpochMs
  /** What is shared has been out of reach since then. */
  readonly awaySince?: EpochMs
  /** How long what it serves may have been out of date: 0 while what is shared is within reach. */
  readonly ageMs: Milliseconds
  /** The newest could not be adopted: what it serves is older. */
  readonly failure?: FollowerFailure
}

export interface FollowerFailure {
  readonly revision: number
  readonly reason: string
  /** Of the last try. */
  readonly at: EpochMs
  readonly tries: number
  /** When it is tried again by itself, unless a newer one comes first. */
  readonly nextAt: EpochMs
}

export interface Follower {
  /** Serves what this node served last; false when it never did, or that cannot be adopted. */
  start(): Promise<boolean>
  /** For a change that is not committed yet. Rejects when it cannot be adopted, and serves the one before. */
  adopt(snapshot: Snapshot): Promise<void>
  /** For what is committed. Never rejects; `status` says when it could not be adopted. */
  follow(snapshot: Snapshot): Promise<void>
  status(): FollowerStatus
  /** Resolves once what it serves is on disk. */
  kept(): Promise<void>
  close(): Promise<void>
}

export interface FollowerOptions {
  /** Gets the file `served.db`. */
  readonly folder: string
  readonly fabric: Pick<Fabric, 'state' | 'onState'>
  /** Makes the node ready for a Snapshot and switches to it; rejects when it cannot, and serves the one before. */
  readonly serve: (snapshot: Snapshot) => Promise<void>
  /** Where the node stands: blobs of programs that may not be there are not brought. */
  readonly country: CountryCode
  /** Brings a blob to this node's disk; absent where all blobs are there. */
  readonly bring?: Bring
  /** Version of Rimward. */
  readonly release: string
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts: object) => void
}

export function createFollower(options: FollowerOptions): Follower {
  const { folder, fabric, serve, bring, limits, clock, log } = options
  const store = openServedStore(folder, options.release)
  let served: Snapshot | undefined
  let servedSince = clock()
  let wanted = 0
  let failure: FollowerStatus['failure']
  /** One at a time: what is tried again must not come between a newer one's steps. */
  let line: Promise<unknown> = Promise.resolve()
  function inLine(task: () => Promise<void>): Promise<void> {
    const done = line.then(task)
    line = done.catch(() => {})
    return done
  }
  let again: NodeJS.Timeout | undefined
  let isClosed = false
  // The process before may have been cut off already, or this one starts long after it.
  let awaySince = fabric.state === 'away' ? Math.min(clock(), store.lastHere() ?? clock()) : undefined
  const noteHere = () => {
    if (awaySince === undefined) store.noteHere(clock())
  }
  noteHere()
  const noting = setInterval(noteHere, limits.servedNoteMs)
  noting.unref()
  const stopState = fabric.onState((state) => {
    const now = clock()
    if (awaySince === undefined) store.noteHere(now)
    awaySince = state === 'away' ? (awaySince ?? now) : undefined
    log(state === 'away' ? 'what the nodes share is out of reach' : 'what the nodes share is within reach', {})
  })

  /** The newest waits while one is written; those between are skipped. */
  let next: Snapshot | undefined
  let keeping: Promise<void> | undefined
  function keepNewest(snapshot: Snapshot): void {
    next = snapshot
    keeping ??= keepAll()
  }
  let misses = 0
  let later: NodeJS.Timeout | undefined
  async function keepAll(): Promise<void> {
    while (next !== undefined) {
      const snapshot = next
      next = undefined
      try {
        await store.keep(snapshot)
        await bringBlobs(snapshot)
        misses = 0
      } catch (error) {
        log('what this node serves was not kept', { error: (error as Error).message })
        keepLater(snapshot, ++misses)
      }
    }
    keeping = undefined
  }
  /** What was out of reach is asked for again, unless something newer is kept by then. */
  function keepLater(snapshot: Snapshot, tries: number): void {
    if (isClosed) return
    clearTimeout(later)
    later = setTimeout(() => served === snapshot && keepNewest(snapshot), retryAfter(tries, limits))
    later.unref()
  }

  /** All that these name is here. */
  let complete: Snapshot['programs'] = new Map()
  const brought = new WeakSet<Deployment>()
  async function bringBlobs(snapshot: Snapshot): Promise<void> {
    if (bring === undefined) return
    const { programs } = onlyHere(snapshot, options.country)
    for (const { rollout } of changedPrograms(complete, programs).come)
      for (const { deployment } of rollout) {
        if (brought.has(deployment)) continue
        await bringDeployment(deployment, bring, limits)
        brought.add(deployment)
      }
    complete = programs
  }

  async function adopt(snapshot: Snapshot): Promise<void> {
    checkSnapshot(snapshot, served, limits)
    await serve(snapshot)
    served = snapshot
    servedSince = clock()
  }

  /** What was lacking, such as a blob in a place that was away, may be there by then. */
  function tryLater(snapshot: Snapshot, tries: number): EpochMs {
    const waitMs = retryAfter(tries, limits)
    if (isClosed) return clock() + waitMs
    again = setTimeout(() => void inLine(() => follow(snapshot, tries + 1)), waitMs)
    again.unref()
    return clock() + waitMs
  }

  async function follow(snapshot: Snapshot, tries: number): Promise<void> {
    // A newer one came while this one stood in line.
    if (snapshot.revision < wanted || isClosed) return
    try {
      if (served !== snapshot) await adopt(snapshot)
      if (failure !== undefined) log('a revision was adopted after all', { revision: snapshot.revision, tries })
      failure = undefined
      keepNewest(snapshot)
    } catch (error) {
      const { revision } = snapshot
      const reason = (error as Error).message
      if (failure?.revision !== revision || failure.reason !== reason)
        log('a revision was not adopted; the last good one is served', { revision, reason, tries })
      failure = { revision, reason, at: clock(), tries, nextAt: tryLater(snapshot, tries) }
    }
  }

  return {
    adopt(snapshot) {
      clearTimeout(again)
      return inLine(() => adopt(withoutElsewhere(snapshot, options.country)))
    },
    async start() {
      const last = store.read()
      if (last === undefined) return false
      try {
        await adopt(last)
      } catch (error) {
        log('what this node served last cannot be served', { error: (error as Error).message })
        return false
      }
      wanted = last.revision
      log('serving what this node served last', { revision: last.revision, sites: last.sites.length })
      return true
    },
    follow(snapshot) {
      clearTimeout(again)
      wanted = snapshot.revision
      return inLine(() => follow(withoutElsewhere(snapshot, options.country), 1))
    },
    status: () => ({
      revision: served?.revision ?? 0,
      wanted,
      servedSince,
      ageMs: awaySince === undefined ? 0 : clock() - awaySince,
      ...(awaySince !== undefined && { awaySince }),
      ...(failure && { failure }),
    }),
    kept: async () => keeping,
    async close() {
      isClosed = true
      clearTimeout(again)
      clearTimeout(later)
      clearInterval(noting)
      stopState()
      await line
      await keeping
      noteHere()
      store.close()
    },
  }
}
