/**
 * Purges over all nodes: numbered where they are taken, told to every node at once, kept for those that are away. A node never
 * serves from its cache for another one, nor after a link came back, before it has applied what the others knew.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh, MeshCall } from '#/core/mesh.ts'
import type { NodeId, Peer } from '#/core/pops.ts'
import type { SharedCache } from '#/core/ports.ts'
import type { PurgeReceipt, PurgeVector, TakePurge } from '#/core/tiers.ts'
import type { Clock } from '#/core/units.ts'
import { createPurgeLinks, type PurgeLinks } from './purge-links.ts'
import { type KeptPurge, openPurgeLog, type PurgeEntry, type PurgeLog, readPurge } from './purge-log.ts'
import { createPurgeOutbox, type PurgeOutbox } from './purge-outbox.ts'
import { createPurgeReceipts, nodeOfReceipt, type PurgeReceipts } from './purge-receipts.ts'
import { exceeds, partOf, readVector } from './purge-vectors.ts'

export interface PlatformPurgesOptions {
  readonly mesh: Mesh
  readonly cache: Pick<SharedCache, 'purge'>
  /** The log's own; made where it is not there. */
  readonly folder: string
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (message: string, facts?: object) => void
}

export interface PlatformPurges extends Pick<PurgeLinks, 'standing' | 'gate' | 'ready'> {
  purge: TakePurge
  /** Of a purge taken at any node that can be reached; undefined when it is not known (any more). */
  receipt(id: string): Promise<PurgeReceipt | undefined>
  readonly vector: PurgeVector
  /** What a request to this node must bear: what was applied here and may not have been there. Undefined: nothing. */
  tag(node: NodeId): PurgeVector | undefined
  /** The node says that it has applied this. */
  learn(node: NodeId, applied: PurgeVector): void
  /** Resolves when this much was applied here, asking `from` for what is missing. Rejects with `peer_away`. */
  reach(tag: PurgeVector, from: NodeId): Promise<void>
  close(): Promise<void>
}

const topics = { tell: 'purge.tell', compare: 'purge.compare', receipt: 'purge.receipt' } as const
/** Batches that overtook others are put in order within this time; then what lacks is asked for. */
const overtakenMs = 50

/** Rejects when the log cannot be opened. */
export async function createPlatformPurges(options: PlatformPurgesOptions): Promise<PlatformPurges> {
  const { mesh, folder, clock, limits } = options
  const log = await openPurgeLog({ folder, node: mesh.self.node, clock, limits })
  if (log.isNew) await options.cache.purge([everything])
  else if (log.unfinished.length > 0) {
    const journaled = options.cache.purge(log.unfinished)
    await Promise.all([journaled, log.write([], journaled)])
  }
  const receipts = createPurgeReceipts(mesh.self.node, limits.purgeReceipts)
  const known = createKnown(log)
  const teller = createTeller(log, options, known)
  const intake = createIntake(log, options, known, teller)
  const links = createPurgeLinks({
    compare: (node) => intake.compare(node, 'link'),
    onAway: known.forget,
    limits,
    log: options.log,
  })
  const withdraw = [
    mesh.onPeers((peers) => links.see(peers)),
    mesh.serve(topics.tell, intake.told),
    mesh.serve(topics.compare, (call) => intake.compared(call, links)),
    mesh.serve(topics.receipt, async ({ head }) => ({ head: { receipt: receipts.get(String(head.id)) ?? null } })),
  ]
  links.see(mesh.peers())
  const comparing = setInterval(() => {
    for (const { node, reachable } of mesh.peers()) if (reachable) intake.compare(node, 'regular').catch(() => {})
  }, limits.purgeCompareMs)
  comparing.unref()

  return {
    purge: (wishes) => takePurge(wishes, { log, intake, teller, receipts, mesh, clock }),
    receipt: (id) => findReceipt(id, receipts, mesh),
    standing: () => links.standing(),
    get gate() {
      return links.gate
    },
    ready: links.ready,
    get vector() {
      return log.vector
    },
    tag: known.tag,
    learn: known.learn,
    async reach(tag, from) {
      for (let attempt = 0; exceeds(tag, log.last); attempt++) {
        if (attempt === 3) throw new EdgeError('peer_away', 'What was purged elsewhere could not be learned in time.')
        await inTime(intake.compare(from, 'regular'), limits.purgeCatchUpMs)
      }
    },
    async close() {
      clearInterval(comparing)
      for (const back of withdraw) back()
      links.close()
      await intake.settled()
      await log.close()
    },
  }
}

const everything: PurgeWish = { soft: false, what: { kind: 'everything' } }

// ─── Taking one in ───────────────────────────────────────────────────────────────────────────────────────────────

interface TakeParts {
  readonly log: PurgeLog
  readonly intake: Intake
  readonly teller: Teller
  readonly receipts: PurgeReceipts
  readonly mesh: Mesh
  readonly clock: Clock
}

async function takePurge(wishes: readonly PurgeWish[], parts: TakeParts): Promise<PurgeReceipt> {
  const { log, intake, teller, receipts, mesh, clock } = parts
  const at = clock()
  const began = performance.now()
  const taken = () => Math.round((performance.now() - began) * 10) / 10
  const id = receipts.newId(at)
  const purge = log.number(wishes, at)
  // Others hear of a number only when it is on disk: a node that restarts would give it again.
  await intake.commit([purge], wishes)
  const { node, pop } = mesh.self
  const acknowledged = [{ pop, node, ms: taken() }]
  const away: { pop: string; node: string; since: number }[] = []
  await Promise.all(
    mesh.peers().map(async ({ pop, node, reachable, since }) => {
      if (reachable && (await teller.tell(node, purge))) acknowledged.push({ pop, node, ms: taken() })
      else away.push({ pop, node, since: reachable ? at : since })
    }),
  )
  const receipt = { id, at, acknowledged, away }
  receipts.add(receipt)
  return receipt
}

async function findReceipt(id: string, receipts: PurgeReceipts, mesh: Mesh): Promise<PurgeReceipt | undefined> {
  const own = receipts.get(id)
  const node = nodeOfReceipt(id)
  if (own !== undefined || !mesh.peers().some((peer) => peer.node === node)) return own
  const { head, body } = await mesh.ask(node, topics.receipt, { head: { id } })
  body.resume()
  return (head.receipt as PurgeReceipt | null) ?? undefined
}

// ─── What others have applied ────────────────────────────────────────────────────────────────────────────────────

function createKnown(log: PurgeLog) {
  const applied = new Map<NodeId, Record<string, number>>()
  const tags = new Map<NodeId, PurgeVector | undefined>()
  return {
    /** This node's vector grew. */
    grew: () => tags.clear(),
    forget(node: NodeId) {
      applied.delete(node)
      tags.delete(node)
    },
    learn(node: NodeId, vector: PurgeVector) {
      const before = applied.get(node) ?? {}
      for (const [origin, last] of Object.entries(vector)) before[origin] = Math.max(last, before[origin] ?? 0)
      applied.set(node, before)
      tags.delete(node)
    },
    tag(node: NodeId): PurgeVector | undefined {
      if (tags.has(node)) return tags.get(node)
      const theirs = applied.get(node) ?? {}
      const lacking = Object.entries(log.vector).filter(([origin, last]) => last > (theirs[origin] ?? 0))
      const tag = lacking.length === 0 ? undefined : Object.fromEntries(lacking)
      tags.set(node, tag)
      return tag
    },
  }
}
type Known = ReturnType<typeof createKnown>

// ─── Telling ─────────────────────────────────────────────────────────────────────────────────────────────────────

function createTeller(log: PurgeLog, { mesh, limits }: PlatformPurgesOptions, known: Known) {
  const outboxes = new Map<NodeId, PurgeOutbox>()
  const nudged = new Set<NodeId>()

  async function send(node: NodeId, purges: readonly KeptPurge[]): Promise<void> {
    const head = { upTo: partOf(log.vector, [log.self]), away: awayOf(mesh) }
    const body = Buffer.from(purges.map(({ line }) => line).join(''))
    const answered = mesh.ask(node, topics.tell, { head, body })
    const answer = await inTime(answered, limits.purgeAckMs)
    answer.body.resume()
    known.learn(node, readVector(answer.head.applied))
  }

  /** Until it has heard of all, or cannot be reached: then it asks for itself. */
  async function nudge(node: NodeId): Promise<void> {
    if (nudged.has(node)) return
    nudged.add(node)
    const isReachable = (peer: Peer) => peer.node === node && peer.reachable
    for (let told = false; !told && mesh.peers().some(isReachable); ) {
      await wait(250, undefined, { ref: false })
      told = await send(node, []).then(
        () => true,
        () => false,
      )
    }
    nudged.delete(node)
  }

  return {
    async tell(node: NodeId, purge: KeptPurge): Promise<boolean> {
      let outbox = outboxes.get(node)
      if (outbox === undefined) {
        outbox = createPurgeOutbox((purges) => send(node, purges), limits)
        outboxes.set(node, outbox)
      }
      const told = await outbox.tell(purge)
      if (!told) void nudge(node)
      return told
    },
    /** To those that who told us cannot reach. */
    relay(purges: readonly KeptPurge[], nodes: unknown): void {
      if (!Array.isArray(nodes)) return
      for (const { node, reachable } of mesh.peers())
        if (reachable && nodes.includes(node)) for (const purge of purges) void this.tell(node, purge)
    },
  }
}
type Teller = ReturnType<typeof createTeller>

// ─── Hearing ─────────────────────────────────────────────────────────────────────────────────────────────────────

function createIntake(log: PurgeLog, { mesh, cache, limits }: PlatformPurgesOptions, known: Known, teller: Teller) {
  const pending = new Set<Promise<void>>()
  const comparing = new Map<NodeId, Promise<void>>()

  /**
   * These are in the vector already, so that no request leaves without them once the cache has let go. The log and the cache's
   * own journal are written together: what a restart finds in the log alone it purges again.
   */
  function commit(purges: readonly Pick<KeptPurge, 'line'>[], wishes: readonly PurgeWish[]): Promise<void> {
    known.grew()
    const journaled = cache.purge(wishes)
    const logged = log.write(
      purges.map(({ line }) => line),
      journaled,
    )
    const done = Promise.all([journaled, logged]).then(() => {})
    pending.add(done)
    const over = () => void pending.delete(done)
    done.then(over, over)
    return done
  }

  async function settled(): Promise<void> {
    await Promise.all([...pending])
  }

  /** Applies what follows on what is known; returns what comes after a gap. */
  function takeNext(entries: readonly PurgeEntry[], taken: KeptPurge[]): PurgeEntry[] {
    const [wishes, purges]: [PurgeWish[], KeptPurge[]] = [[], []]
    const ahead = entries.filter((entry) => {
      const purge = log.take(entry)
      if (purge === undefined) return entry.number > log.last(entry.origin)
      purges.push(purge)
      wishes.push(...entry.wishes)
      return false
    })
    if (purges.length > 0) commit(purges, wishes).catch(() => {})
    taken.push(...purges)
    return ahead
  }

  /** Resolves when all of them are applied for good. Returns those that were news. */
  async function takeIn(entries: readonly PurgeEntry[], from: NodeId): Promise<readonly KeptPurge[]> {
    const taken: KeptPurge[] = []
    let ahead = takeNext(entries, taken)
    for (let attempt = 0; ahead.length > 0; attempt++) {
      if (attempt === 3) throw new EdgeError('peer_away', 'Purges before these could not be learned.')
      if (attempt === 0) await wait(overtakenMs, undefined, { ref: false })
      else await compare(from, 'regular')
      ahead = takeNext(ahead, taken)
    }
    await settled()
    return taken
  }

  async function compareOnce(node: NodeId, why: string): Promise<void> {
    for (let more = true; more; ) {
      const answer = await inTime(
        mesh.ask(node, topics.compare, { head: { vector: log.vector, why } }),
        limits.purgeAckMs,
      )
      const entries = await readEntries(answer.body)
      known.learn(node, readVector(answer.head.vector))
      const cut = readVector(answer.head.cut)
      if (exceeds(cut, log.last)) await commit([{ line: log.jump(cut) }], [everything])
      teller.relay(await takeIn(entries, node), answer.head.away)
      more = answer.head.more === true
    }
  }

  /** One at a time with each node; who comes while one runs gets the next, which knows what was purged meanwhile. */
  async function compare(node: NodeId, why: 'link' | 'regular'): Promise<void> {
    await comparing.get(node)?.catch(() => {})
    const again = comparing.get(node)
    if (again !== undefined) return again
    const running = compareOnce(node, why)
    comparing.set(node, running)
    const over = () => void (comparing.get(node) === running && comparing.delete(node))
    running.then(over, over)
    return running
  }

  return {
    commit,
    settled,
    compare,
    async told({ head, body, from }: MeshCall) {
      const entries = await readEntries(body)
      teller.relay(await takeIn(entries, from.node), head.away)
      const upTo = readVector(head.upTo)
      if (entries.length === 0 && exceeds(upTo, log.last)) await compare(from.node, 'regular')
      const origins = [...Object.keys(upTo), ...new Set(entries.map(({ origin }) => origin))]
      return { head: { applied: partOf(log.vector, origins) } }
    },
    async compared({ head, from, body }: MeshCall, links: PurgeLinks) {
      body.resume()
      const theirs = readVector(head.vector)
      known.learn(from.node, theirs)
      if (exceeds(theirs, log.last)) {
        if (head.why === 'link') links.doubt(from.node)
        else void compare(from.node, 'regular').catch(() => {})
      }
      const { vector } = log
      const { purges, cut, more } = log.missing(theirs, limits.purgeBatchBytes)
      // What is not on disk yet is told to nobody.
      await settled()
      return {
        head: { vector, cut, more, away: awayOf(mesh) },
        body: Buffer.from(purges.map(({ line }) => line).join('')),
      }
    },
  }
}
type Intake = ReturnType<typeof createIntake>

function awayOf(mesh: Mesh): NodeId[] {
  return mesh.peers().flatMap(({ node, reachable }) => (reachable ? [] : [node]))
}

async function readEntries(body: AsyncIterable<Uint8Array>): Promise<PurgeEntry[]> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
    .toString()
    .split('\n')
    .flatMap((line) => (line === '' ? [] : (readPurge(line) ?? [])))
}

async function inTime<Value>(promise: Promise<Value>, ms: number): Promise<Value> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new EdgeError('peer_away', 'The node did not answer in time.')), ms)
  timer.unref()
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}
