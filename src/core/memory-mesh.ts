/** A `Mesh` in memory: between the nodes of one process, and for tests, where links can be cut and delayed. */
import { Duplex, PassThrough, type Readable } from 'node:stream'
import { EdgeError, toEdgeError } from './errors.ts'
import { limitTable } from './limits.ts'
import type { Mesh, MeshAnswer, MeshCall, MeshHandler, MeshRequest } from './mesh.ts'
import type { NodeId, Peer, Place } from './pops.ts'

export interface MemoryMeshes {
  join(place: Place): Mesh
  /** Calls between these two fail from now on, and what is in flight breaks off. */
  cut(one: NodeId, other: NodeId): void
  heal(one: NodeId, other: NodeId): void
  /** Awaited before each call and answer, one way; by default nothing. */
  delay: (from: NodeId, to: NodeId) => Promise<void>
}

interface Member {
  readonly place: Place
  readonly handlers: Map<string, MeshHandler>
  readonly tunnels: Map<string, Parameters<Mesh['serveTunnel']>[1]>
  readonly listeners: Set<(peers: readonly Peer[]) => void>
  closed: boolean
}

export function createMemoryMeshes(): MemoryMeshes {
  const members = new Map<NodeId, Member>()
  const cuts = new Map<string, AbortController>()
  const linkOf = (one: NodeId, other: NodeId) => [one, other].toSorted().join(' ')

  function link(one: NodeId, other: NodeId): AbortController {
    const name = linkOf(one, other)
    const found = cuts.get(name) ?? new AbortController()
    cuts.set(name, found)
    return found
  }
  function tellAll(): void {
    for (const member of members.values())
      for (const listener of member.listeners) queueMicrotask(() => listener(peersOf(member)))
  }
  function peersOf(member: Member): Peer[] {
    return [...members.values()]
      .filter((other) => other !== member)
      .map((other) => ({
        ...other.place,
        version: '0.0.0',
        startedAt: 0,
        since: 0,
        reachable: !other.closed && !link(member.place.node, other.place.node).signal.aborted,
      }))
  }
  function reach(from: Member, node: NodeId): { readonly other: Member; readonly signal: AbortSignal } {
    const other = members.get(node)
    const { signal } = link(from.place.node, node)
    if (other === undefined || other.closed || from.closed || signal.aborted)
      throw new EdgeError('peer_away', `The node ${node} cannot be reached.`)
    return { other, signal }
  }

  async function ask(from: Member, node: NodeId, topic: string, request: MeshRequest): Promise<MeshAnswer> {
    const { signal: given } = request
    const head = throughJson(request.head ?? {})
    given?.throwIfAborted()
    await meshes.delay(from.place.node, node)
    const { other, signal: cut } = reach(from, node)
    const handler = other.handlers.get(topic)
    if (handler === undefined) throw new EdgeError('internal', `The node ${node} does not serve ${topic}.`)
    const here = whenAborted([cut, () => away(node)], [given, () => given?.reason])
    const there = new AbortController()
    here.on((reason) => there.abort(reason))
    const body = carry(request.body, away(from.place.node), here)
    const call: MeshCall = { topic, from: from.place, head, body, signal: there.signal }
    const answered = handler(call).then(
      (answer) => ({ head: throughJson(answer.head ?? {}), body: carry(answer.body, away(node), here) }),
      (error: unknown) => {
        throw error instanceof EdgeError ? error : new EdgeError('internal', String(error))
      },
    )
    const aborted = Promise.withResolvers<never>()
    here.on(aborted.reject)
    const answer = await Promise.race([answered, aborted.promise])
    answer.body.once('end', () => {
      here.end()
      if (!body.readableDidRead) body.destroy()
    })
    await meshes.delay(node, from.place.node)
    reach(from, node)
    return answer
  }

  const meshes: MemoryMeshes = {
    delay: async () => {},
    cut(one, other) {
      link(one, other).abort()
      tellAll()
    },
    heal(one, other) {
      cuts.delete(linkOf(one, other))
      tellAll()
    },
    join(place) {
      const member: Member = { place, handlers: new Map(), tunnels: new Map(), listeners: new Set(), closed: false }
      members.set(place.node, member)
      tellAll()
      return {
        self: place,
        peers: () => peersOf(member),
        onPeers(listener) {
          member.listeners.add(listener)
          return () => member.listeners.delete(listener)
        },
        ask: (node, topic, request = {}) => ask(member, node, topic, request),
        serve(topic, handler) {
          return addHandler(member.handlers, topic, handler)
        },
        async tunnel(node, topic, head = {}) {
          await meshes.delay(place.node, node)
          const { other, signal } = reach(member, node)
          const handler = other.tunnels.get(topic)
          if (handler === undefined) throw new EdgeError('internal', `The node ${node} does not serve ${topic}.`)
          const [here, there] = createPair(place.node, node)
          // A link may be cut before whoever gets an end listens to it.
          for (const end of [here, there]) end.on('error', () => {})
          signal.addEventListener('abort', () => {
            here.destroy(away(node))
            there.destroy(away(place.node))
          })
          await handler({ topic, from: place, head: throughJson(head), signal }, there)
          reach(member, node)
          return here
        },
        serveTunnel(topic, handler) {
          return addHandler(member.tunnels, topic, handler)
        },
        async close() {
          member.closed = true
          tellAll()
        },
      }
    },
  }
  return meshes
}

function addHandler<Handler>(handlers: Map<string, Handler>, topic: string, handler: Handler): () => void {
  if (handlers.has(topic)) throw new Error(`${topic} is served already.`)
  handlers.set(topic, handler)
  return () => handlers.delete(topic)
}

function away(node: NodeId): EdgeError {
  return new EdgeError('peer_away', `The node ${node} went away.`)
}

function throughJson(head: object) {
  const json = JSON.stringify(head)
  if (Buffer.byteLength(json) > limitTable.meshHeadBytes.default)
    throw new EdgeError('headers_too_large', 'The head of a call between nodes is too large.')
  return JSON.parse(json) as Record<string, unknown>
}

interface End {
  on(listener: (reason: unknown) => void): void
  /** Nothing is told any more. */
  readonly end: () => void
}

/** Tells once when the first of these signals is aborted, and with which reason. */
function whenAborted(...causes: readonly (readonly [AbortSignal | undefined, () => unknown])[]): End {
  const listeners = new Set<(reason: unknown) => void>()
  const end = new AbortController()
  for (const [signal, reason] of causes) {
    const tell = () => {
      end.abort()
      for (const listener of listeners) listener(reason())
    }
    signal?.addEventListener('abort', tell, { once: true, signal: end.signal })
  }
  return { on: (listener) => listeners.add(listener), end: () => end.abort() }
}

/** The other end of a body: breaks with it in both directions, with an `EdgeError`. */
function carry(body: MeshRequest['body'], lost: EdgeError, end: End): Readable {
  const target = new PassThrough()
  // It may fail before anybody reads; who reads later is told then.
  target.on('error', () => {})
  end.on((reason) => target.destroy(reason instanceof Error ? reason : lost))
  if (body === null || body === undefined || body instanceof Uint8Array) return target.end(body && Buffer.from(body))
  body.on('error', (error) => target.destroy(toEdgeError(error)))
  body.on('close', () => body.readableEnded || target.destroy(new EdgeError('internal', 'A body was given up.')))
  target.on('close', () => body.destroy())
  return body.pipe(target)
}

/** The two ends of a tunnel. Unlike those of `stream.duplexPair`, an end that is destroyed breaks the other with an error. */
function createPair(near: NodeId, far: NodeId): [Duplex, Duplex] {
  const ends: Duplex[] = []
  const resume: ((() => void) | undefined)[] = []
  function createEnd(own: 0 | 1, node: NodeId): Duplex {
    const other = () => ends[1 - own]!
    const end = new Duplex({
      read() {
        const done = resume[own]
        resume[own] = undefined
        done?.()
      },
      write(chunk, _, done) {
        if (other().push(chunk)) done()
        else resume[1 - own] = done
      },
      final(done) {
        other().push(null)
        done()
      },
      destroy(error, done) {
        if (!end.readableEnded || !end.writableFinished) queueMicrotask(() => other().destroy(away(node)))
        done(error)
      },
    })
    return end.on('error', () => {})
  }
  ends.push(createEnd(0, near), createEnd(1, far))
  return [ends[0]!, ends[1]!]
}
