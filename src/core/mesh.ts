/**
 * How nodes talk to each other: calls with a head and a body, and tunnels of bytes. HTTP/2 with mutual TLS in `mesh/`, in
 * memory in tests; both run `mesh.contract.ts`.
 */
import type { Duplex, Readable } from 'node:stream'
import type { NodeId, Peer, Place } from './pops.ts'

/** Anything that JSON holds, at most `meshHeadBytes` when serialized. */
export type MeshHead = { readonly [name: string]: unknown }

export interface MeshRequest {
  readonly head?: MeshHead
  readonly body?: Uint8Array | Readable | null
  /** Aborting cancels the call at the other side too. */
  readonly signal?: AbortSignal
}

export interface MeshAnswer {
  readonly head: MeshHead
  /** Streams as it arrives; whoever gets it reads or destroys it. */
  readonly body: Readable
}

/** A call as it arrives. */
export interface MeshCall {
  readonly topic: string
  /** Proven by the other side's certificate. */
  readonly from: Place
  readonly head: MeshHead
  readonly body: Readable
  /** Aborted when the caller gave up or went away. */
  readonly signal: AbortSignal
}

/** What is thrown reaches the caller as an `EdgeError` with the same code, or as `internal`. */
export type MeshHandler = (call: MeshCall) => Promise<{ readonly head?: MeshHead; readonly body?: MeshRequest['body'] }>

export interface Mesh {
  readonly self: Place
  /** All nodes but this one that are part of the platform, reachable or not. */
  peers(): readonly Peer[]
  /** Called after each change of what `peers` answers, round-trip times aside. */
  onPeers(listener: (peers: readonly Peer[]) => void): () => void
  /** Rejects with `peer_away` when the node cannot be reached or goes away before its answer begins. */
  ask(node: NodeId, topic: string, request?: MeshRequest): Promise<MeshAnswer>
  /** One handler a topic. Returns how to take it back. */
  serve(topic: string, handler: MeshHandler): () => void
  /** Raw bytes both ways; ends and errors travel. Rejects with `peer_away`, or with what the other side threw. */
  tunnel(node: NodeId, topic: string, head?: MeshHead): Promise<Duplex>
  serveTunnel(
    topic: string,
    handler: (call: Omit<MeshCall, 'body'>, stream: Duplex) => void | Promise<void>,
  ): () => void
  close(): Promise<void>
}
