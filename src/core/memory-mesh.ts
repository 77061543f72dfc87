/** A `Mesh` in memory: between the nodes of one process, and for tests, where links can be cut and delayed. */
import { duplexPair, PassThrough, pipeline, Readable } from 'node:stream'
import { EdgeError } from './errors.ts'
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
    await meshes.delay(from.place.node, node)
    const { other, signal: cut } = reach(from, node)
    const handler = other.handlers.get(topic)
    if (handler === undefined) throw new EdgeError('internal', `The node ${node} does not serve ${topic}.`)
    const signal = AbortSignal.any([cut, ...(request.signal === undefined ? [] : [request.signal])])
    const call: MeshCall = {
      topic,
      from: from.place,
      head: throughJson(request.head ?? {}),
      body: asStream(request.body),
      signal,
    }
    const answered = handler(call).catch((error: unknown) => {
      throw error instanceof EdgeError ? error : new EdgeError('internal', String(error))
    })
    const answer = await Promise.race([answered, whenAborted(signal, node)])
    await meshes.delay(node, from.place.node)
    reach(from, node)
    return { head: throughJson(answer.head ?? {}), body: asStream(answer.body) }
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
          member.handlers.set(topic, handler)
          return () => member.handlers.delete(topic)
        },
        async tunnel(node, topic, head = {}) {
          await meshes.delay(place.node, node)
          const { other, signal } = reach(member, node)
          const handler = other.tunnels.get(topic)
          if (handler === undefined) throw new EdgeError('internal', `The node ${node} does not serve ${topic}.`)
          const [here, there] = duplexPair()
          // A link may be cut before whoever gets an end listens to it.
          for (const end of [here, there]) end.on('error', () => {})
          signal.addEventListener('abort', () => {
            here.destroy(new EdgeError('peer_away', `The node ${node} went away.`))
            there.destroy()
          })
          await handler({ topic, from: place, head: throughJson(head), signal }, there)
          reach(member, node)
          return here
        },
        serveTunnel(topic, handler) {
          member.tunnels.set(topic, handler)
          return () => member.tunnels.delete(topic)
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

function throughJson(head: object) {
  return JSON.parse(JSON.stringify(head)) as Record<string, unknown>
}

function asStream(body: MeshRequest['body']): Readable {
  if (body instanceof Uint8Array) return Readable.from([Buffer.from(body)])
  if (body === null || body === undefined) return Readable.from([])
  // What breaks off on one side breaks off on the other.
  const copy = new PassThrough()
  pipeline(body, copy, () => {})
  return copy
}

function whenAborted(signal: AbortSignal, node: NodeId): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new EdgeError('peer_away', `The node ${node} went away.`))
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
}
