/**
 * Asking a peer for what this node lacks: everything that the peer learned since it was asked last, or, where tombstones are
 * gone that this node never saw, its whole state. One peer at a time.
 */
import { EdgeError } from '#/core/errors.ts'
import type { MeshHandler, MeshHead } from '#/core/mesh.ts'
import type { NodeId } from '#/core/pops.ts'
import type { Admit } from './admit.ts'
import type { Links } from './links.ts'
import { decodeRows, encodeRows, type Row } from './operation.ts'
import { noteSeen, type Store, scopeNow } from './store.ts'
import { covers, marksOf, mayHold, seqOf, type Vector, vectorFor } from './vector.ts'
import { readBody, readJson, toJson } from './wire.ts'

export const pullTopic = 'replication/pull'

type Place = readonly [bucket: string, key: string]

interface Request {
  readonly vector: Vector
  /** Rows learned after this `at`. */
  readonly after?: number
  /** Whole state: rows behind this place. */
  readonly behind?: Place
  /** The whole state was read: what was dropped before then does not matter. */
  readonly whole?: boolean
}

type Answer =
  | { readonly kind: 'since'; readonly next: number; readonly done: boolean }
  /** Tombstones are gone that the asker may not have seen; `head`: where to go on after the whole state. */
  | { readonly kind: 'whole'; readonly head: number; readonly vector: Vector; readonly buckets: readonly string[] }
  | { readonly kind: 'keys'; readonly wanted: string; readonly done: boolean }

export interface Puller {
  want(node: NodeId): void
  readonly serve: MeshHandler
  close(): Promise<void>
}

/** A peer's answer, with what does not fit into a head in front of the rows. */
interface Page {
  readonly answer: Answer
  readonly extra: { readonly vector?: Vector; readonly dropped?: Vector }
  readonly rows: readonly Row[]
}

export function createPuller(store: Store, admit: Admit, links: () => Links): Puller {
  const { mesh, limits, seen, reader, writer, log } = store
  const wanted = new Set<NodeId>()
  let running: Promise<void> | undefined
  let closed = false

  async function ask(node: NodeId, request: Request): Promise<Page> {
    const signal = AbortSignal.timeout(limits.replicationAskMs)
    const { head, body } = await mesh.ask(node, pullTopic, { body: toJson(request), signal })
    const bytes = await readBody(
      body,
      2 * limits.replicationPageBytes + limits.fabricValueBytes + limits.replicationVectorBytes,
    )
    const extraBytes = Number(head.extraBytes)
    return {
      answer: JSON.parse(bytes.subarray(0, Number(head.answerBytes)).toString()) as Answer,
      extra: JSON.parse(
        bytes.subarray(Number(head.answerBytes), Number(head.answerBytes) + extraBytes).toString(),
      ) as Page['extra'],
      rows: decodeRows(bytes.subarray(Number(head.answerBytes) + extraBytes)),
    }
  }

  /** Everything learned after `start`. Says whether it was all taken. */
  async function takeSince(node: NodeId, vector: Vector, start: number, whole: boolean): Promise<boolean> {
    const origin = links().originOf(node)!
    let complete = true
    for (let after = start; !closed; ) {
      const { answer, extra, rows } = await ask(node, { vector, after, whole })
      if (answer.kind === 'whole') return takeWhole(node, vector, answer)
      if (answer.kind !== 'since') throw new EdgeError('internal', `The node ${node} answered out of turn.`)
      complete = (await admit(rows, node)) && complete
      after = answer.next
      if (!answer.done) continue
      if (!complete) return false
      seen.raise(extra.vector!)
      const dropped = whole ? marksOf(extra.dropped!) : []
      await writer.submit({ kind: 'note', seen: seen.takeChanged(), dropped, cursor: [origin, after] })
      return true
    }
    return false
  }

  /** The whole state in the order of keys: what this node has, the peer has seen and has no more, goes. */
  async function takeWhole(
    node: NodeId,
    vector: Vector,
    { head, vector: theirs, buckets }: Extract<Answer, { kind: 'whole' }>,
  ): Promise<boolean> {
    log('takes the whole state of a peer', { node })
    const held = new Set(buckets)
    let complete = true
    for (let behind: Place = ['', '']; ; ) {
      const { answer, rows } = await ask(node, { vector, behind })
      if (answer.kind !== 'keys' || closed) return false
      const last = rows.at(-1)
      const end: Place | undefined = answer.done || last === undefined ? undefined : [last.bucket, last.key]
      await prune(behind, end, rows, (row) => held.has(row.bucket) && row.seq <= seqOf(theirs, row.scope, row.origin))
      complete =
        (await admit(
          rows.filter((_, index) => answer.wanted[index] === '1'),
          node,
        )) && complete
      if (end === undefined) return complete && takeSince(node, vector, head, true)
      behind = end
    }
  }

  async function prune(
    behind: Place,
    end: Place | undefined,
    theirs: readonly Row[],
    isCovered: (row: Row) => boolean,
  ): Promise<void> {
    const there = new Set(theirs.map(({ bucket, key }) => `${bucket}\0${key}`))
    const gone = reader
      .range(behind, end)
      .filter(([, row]) => !there.has(`${row.bucket}\0${row.key}`) && isCovered(row))
      .map(([at]) => at)
    if (gone.length > 0) await writer.submit({ kind: 'prune', at: gone })
  }

  async function run(): Promise<void> {
    for (;;) {
      const [node] = wanted
      if (node === undefined || closed) return
      wanted.delete(node)
      try {
        const origin = links().originOf(node)
        const peer = mesh.peers().find((one) => one.node === node)
        if (origin === undefined || peer === undefined) continue
        const vector = vectorFor(seen.vector(), peer.country)
        if (await takeSince(node, structuredClone(vector), reader.cursor(origin), false)) links().caughtUp(node)
        noteSeen(store)
      } catch (error) {
        // The next beat wants it again.
        if (!(error instanceof EdgeError) && (error as Error).name !== 'AbortError')
          log('asking a peer for what is missing failed', { node, err: error })
      }
    }
  }

  /** Countries that may not hold a row learn not even its key. */
  function keysBehind(behind: Place, isWanted: (row: Row) => boolean, country: string): Page {
    for (let place = behind; ; ) {
      const page = reader.byKey(place, limits.replicationPageBytes, isWanted)
      const shown = page.rows.flatMap((row, index) =>
        mayHold(scopeNow(store, row.bucket), country) ? [{ row, flag: page.wanted[index] ? '1' : '0' }] : [],
      )
      const last = page.rows.at(-1)
      if (shown.length > 0 || page.done || last === undefined) {
        const wanted = shown.map(({ flag }) => flag).join('')
        return { answer: { kind: 'keys', wanted, done: page.done }, extra: {}, rows: shown.map(({ row }) => row) }
      }
      place = [last.bucket, last.key]
    }
  }

  async function serve(request: Request, country: string): Promise<Page> {
    const { vector } = request
    const isWanted = (row: Row) =>
      mayHold(row.scope, country) &&
      // Its bucket may have fewer countries by now than its scope.
      mayHold(scopeNow(store, row.bucket), country) &&
      row.seq > seqOf(vector, row.scope, row.origin)
    const bytes = limits.replicationPageBytes
    if (request.behind !== undefined) return keysBehind(request.behind, isWanted, country)
    const dropped = reader.dropped()
    if (!request.whole && !covers(vector, dropped, country)) {
      const head = reader.head()
      const buckets = reader.buckets().filter(([, scope]) => mayHold(scope, country))
      const answer: Answer = {
        kind: 'whole',
        head,
        vector: vectorFor(reader.vector(), country),
        buckets: buckets.map(([bucket]) => bucket),
      }
      return { answer, extra: {}, rows: [] }
    }
    const { rows, next, done, vector: all } = reader.since(request.after ?? 0, bytes, isWanted)
    const extra = done
      ? { vector: vectorFor(all, country), ...(request.whole && { dropped: vectorFor(dropped, country) }) }
      : {}
    return { answer: { kind: 'since', next, done }, extra, rows }
  }

  return {
    want(node) {
      if (closed) return
      wanted.add(node)
      running ??= run().finally(() => {
        running = undefined
      })
    },
    async serve({ body, from }) {
      const request = await readJson<Request>(body, limits.replicationVectorBytes)
      await links().meet(from.node)
      const page = await serve(request, from.country)
      const answer = toJson(page.answer)
      const extra = toJson(page.extra)
      const head: MeshHead = { answerBytes: answer.byteLength, extraBytes: extra.byteLength }
      return { head, body: Buffer.concat([answer, extra, encodeRows(page.rows)]) }
    },
    async close() {
      closed = true
      await running
    },
  }
}
