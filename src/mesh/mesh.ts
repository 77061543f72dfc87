/** The mesh of one node: a listener, a link to every other node, and the certificate that both show. */
import { randomUUID } from 'node:crypto'
import { type Closer, startWhole } from '#/core/closer.ts'
import type { Limits } from '#/core/limits.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { NodeId, Place } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { askPath, createAnswerCalls, tunnelPath } from './answer-calls.ts'
import { askOver, tunnelOver } from './call-over.ts'
import { type DialSocket, dialTcp } from './dial-node.ts'
import { type MeshAddress, type NodeEntry, openDirectory } from './directory.ts'
import { refuseTwin } from './find-twin.ts'
import type { Hello } from './hello.ts'
import type { Identity } from './identity.ts'
import { createLinks, type Links } from './links.ts'
import { listenForNodes } from './listen.ts'
import { takePlace } from './membership.ts'
import { isDue, obtainIdentity, signIdentity } from './obtain-identity.ts'

export interface MeshOptions {
  /** The node's `mesh/`: its key, its certificate, the last known directory. Made where it is missing. */
  readonly folder: string
  readonly place: Place
  /** Port 0 lets the kernel choose. */
  readonly listen: MeshAddress
  /** Where others reach it, when that is not where it listens. */
  readonly advertise?: MeshAddress
  readonly fabric: Pick<Fabric, 'bucket' | 'state' | 'onState'>
  /** Opens the authority's key; asked only when a certificate has to be signed. */
  readonly seal: Seal
  readonly version: string
  readonly limits: Limits
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
  readonly random?: () => number
  /** How to reach others; TCP by default. */
  readonly dial?: DialSocket
}

export interface RunningMesh extends Mesh {
  /** Where it listens. */
  readonly address: MeshAddress
  /** Removes a node that left for good: its links are cut everywhere, its certificates are of no use. False: no such node. */
  forget(node: NodeId): Promise<boolean>
  /** A new certificate now; links in use are replaced without a break. It happens by itself after half of its life. */
  renew(): Promise<void>
}

/**
 * Rejects when another process runs under this name, when this node was removed from the platform, or when it cannot
 * listen. Does not wait for others: links come up by themselves, also while the fabric is away.
 */
export function openMesh(options: MeshOptions): Promise<RunningMesh> {
  return startWhole((closer) => start(options, closer))
}

async function start(options: MeshOptions, closer: Closer): Promise<RunningMesh> {
  const { folder, place, fabric, version, limits, clock, log, random = Math.random, dial = dialTcp } = options
  const identity = createIdentity(options, await obtainIdentity(options))
  const instance = randomUUID()
  const startedAt = clock()
  const hello = (): Hello => ({ version, startedAt, instance, now: clock() })
  const calls = createAnswerCalls({
    self: place,
    limits,
    report: (topic, error) => log('a call from another node failed', { topic, error }),
  })
  const session = { identity: identity.current, hello, limits, clock, dial }
  const links = createLinks({ ...session, self: place.node, random, log })
  closer.add(() => links.close())
  const directory = await openDirectory({ fabric, folder, limits, clock, log })
  closer.add(() => directory.close())

  let expelled = false
  const isMember = (node: NodeId, fingerprint: string) => {
    if (node === place.node) return fingerprint === identity.current().fingerprint
    return !expelled && directory.nodes().get(node)?.fingerprint === fingerprint
  }
  const listener = await listenForNodes({
    address: options.listen,
    identity: identity.current(),
    calls,
    hello,
    async isMember(node, fingerprint) {
      return isMember(node, fingerprint) || (!expelled && (await directory.find(node))?.fingerprint === fingerprint)
    },
    onArrival: (node) => links.wake(node),
    limits,
    clock,
    log,
  })
  closer.add(() => listener.close())

  const own: NodeEntry = {
    ...place,
    address: options.advertise ?? listener.address,
    fingerprint: identity.current().fingerprint,
    version,
    startedAt,
    instance,
  }
  const before = directory.nodes().get(place.node)
  if (before !== undefined) await refuseTwin(own, { ...session, entry: before })
  const membership = await takePlace({ own, directory, fabric, log, onExpelled: leave })
  closer.add(() => membership.close())
  function leave(): void {
    expelled = true
    follow()
  }
  function follow(): void {
    links.follow(expelled ? new Map() : directory.nodes())
    listener.review(isMember)
  }
  directory.onChange(() => {
    membership.review(directory.nodes())
    follow()
  })
  follow()

  let renewal: Promise<void> | undefined
  async function renewNow(): Promise<void> {
    listener.renew(await identity.renew())
    links.renew()
  }
  /** One at a time, however long the fabric takes. */
  function renew(): Promise<void> {
    renewal ??= renewNow().finally(() => {
      renewal = undefined
    })
    return renewal
  }
  const renewing = setInterval(() => {
    directory.retry()
    membership.retry()
    if (!expelled && isDue(identity.current(), clock()))
      renew().catch((error: unknown) =>
        log('the certificate of this node could not be renewed', { error: String(error) }),
      )
  }, limits.meshHelloMs)
  renewing.unref()
  closer.add(() => clearInterval(renewing))

  return {
    self: place,
    address: listener.address,
    ...callsOver(links, limits),
    peers: links.peers,
    onPeers: links.onPeers,
    serve: calls.serve,
    serveTunnel: calls.serveTunnel,
    forget: directory.forget,
    renew,
    close: () => closer.close(),
  }
}

function createIdentity(options: MeshOptions, first: Identity) {
  let identity = first
  return {
    current: () => identity,
    async renew() {
      identity = await signIdentity(options)
      return identity
    },
  }
}

function callsOver(links: Links, limits: MeshOptions['limits']): Pick<Mesh, 'ask' | 'tunnel'> {
  return {
    async ask(node, topic, request = {}) {
      const { session, done } = await links.take(node, 'calls')
      return askOver({ session, node, limits, done }, askPath(topic), request)
    },
    async tunnel(node, topic, head = {}) {
      const { session, done } = await links.take(node, 'tunnels')
      return tunnelOver({ session, node, limits, done }, tunnelPath(topic), head)
    },
  }
}
