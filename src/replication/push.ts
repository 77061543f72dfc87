/**
 * Writes of this node, told to its peers at once. What a peer does not take now it asks for later: nothing is kept for it
 * but the rows on disk.
 */
import type { MeshHandler } from '#/core/mesh.ts'
import type { Peer } from '#/core/pops.ts'
import type { Admit } from './admit.ts'
import type { Links } from './links.ts'
import { decodeRows, encodeRows, type Row, type Scope, sizeOfRow } from './operation.ts'
import { noteSeen, type Store, scopeNow } from './store.ts'
import { mayHold } from './vector.ts'
import { readBody } from './wire.ts'

export const pushTopic = 'replication/push'

export interface Pusher {
  add(row: Row): void
  close(): void
}

/** Operations of one scope in a row. */
interface Run {
  readonly scope: Scope
  readonly from: number
  readonly to: number
  readonly rows: readonly Row[]
}

export function createPusher(store: Store, links: Links): Pusher {
  const { mesh, limits, reader } = store
  const inFlight = new Map<string, number>()
  let waiting: Row[] = []
  let timer: NodeJS.Timeout | undefined
  let last = Number.NEGATIVE_INFINITY

  async function send(peer: Peer, run: Run, body: Uint8Array): Promise<void> {
    const open = inFlight.get(peer.node) ?? 0
    if (open > 0 && open + body.byteLength > limits.replicationWindowBytes) return
    inFlight.set(peer.node, open + body.byteLength)
    try {
      const { scope, from, to } = run
      const signal = AbortSignal.timeout(limits.replicationAskMs)
      const answer = await mesh.ask(peer.node, pushTopic, {
        head: { scope, origin: reader.origin, from, to },
        body,
        signal,
      })
      answer.body.resume()
      if (answer.head.taken === true) links.told(peer.node, scope, reader.origin, to)
    } catch {
      // The peer is away, or busy: it compares and asks.
    } finally {
      inFlight.set(peer.node, inFlight.get(peer.node)! - body.byteLength)
    }
  }

  function flush(): void {
    timer = undefined
    last = performance.now()
    const rows = waiting
    waiting = []
    const peers = links.linked()
    if (peers.length === 0) return
    for (const run of runsOf(rows, limits.replicationPageBytes)) {
      const body = encodeRows(run.rows)
      // A bucket may have fewer countries by now than its scope; who may have a part of the run only asks for that.
      const scopes = [run.scope, ...new Set(run.rows.map((row) => scopeNow(store, row.bucket)))]
      for (const peer of peers) if (scopes.every((scope) => mayHold(scope, peer.country))) void send(peer, run, body)
    }
  }

  return {
    add(row) {
      waiting.push(row)
      if (timer !== undefined) return
      const since = performance.now() - last
      // The timer is no closure per write: it stands once a batch. Zero still gathers what one commit acknowledged.
      timer = setTimeout(flush, Math.max(0, limits.replicationPushMs - since))
    },
    close: () => clearTimeout(timer),
  }
}

/** Pure: rows by scope, in order, without gaps, each run of so many bytes at most (or one row). */
export function runsOf(rows: readonly Row[], bytes: number): Run[] {
  const runs: (Run & { rows: Row[] })[] = []
  const order = rows.toSorted((one, other) =>
    one.scope === other.scope ? one.seq - other.seq : one.scope < other.scope ? -1 : 1,
  )
  let size = 0
  for (const row of order) {
    const run = runs.at(-1)
    size += sizeOfRow(row)
    if (run !== undefined && run.scope === row.scope && run.to + 1 === row.seq && size <= bytes) {
      run.rows.push(row)
      runs[runs.length - 1] = { ...run, to: row.seq }
      continue
    }
    size = sizeOfRow(row)
    runs.push({ scope: row.scope, from: row.seq, to: row.seq, rows: [row] })
  }
  return runs
}

/** The other side; `gap` hears when something before the batch is missing. */
export function createPushHandler(store: Store, admit: Admit, gap: (node: string) => void): MeshHandler {
  const { limits, seen } = store
  const limitBytes = 2 * limits.replicationPageBytes + limits.fabricValueBytes
  return async ({ head, body, from }) => {
    const { scope, origin, from: first, to } = head as { scope: Scope; origin: string; from: number; to: number }
    const rows = decodeRows(await readBody(body, limitBytes))
    const taken = await admit(rows, from.node)
    if (taken && !seen.add(scope, origin, first, to)) gap(from.node)
    noteSeen(store)
    return { head: { taken } }
  }
}
