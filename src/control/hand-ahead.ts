/**
 * What a deployment needs to start, between nodes: handed to the others while it is proven here, so that they have it when they
 * hear of the change, which else would cost them the way to what is shared and back, twice; and asked for while what is shared
 * is away.
 */
import type { Readable } from 'node:stream'
import type { Mesh } from '#/core/mesh.ts'
import { allows, type NodeId, type Within } from '#/core/pops.ts'
import type { Blobs } from '#/core/ports.ts'
import type { BlobHash, Deployment } from '#/core/snapshot.ts'

export interface HandAheadOptions {
  readonly mesh: Mesh
  /** Of this node. */
  readonly blobs: Pick<Blobs, 'stream'>
  /** Keeps a blob on this node's disk; rejects when what comes is not it. */
  readonly keep: (blob: BlobHash, bytes: Readable) => Promise<void>
  /** How many of the blobs that were handed over are remembered. */
  readonly limits: { readonly blobsHanded: number }
  readonly log: (message: string, facts: object) => void
}

export interface HandAhead {
  /** Only to nodes in these countries. Returns at once: who does not get it fetches it. */
  hand(deployment: Deployment, within: Within | undefined): void
  /** From the first other node that has it. */
  find(blob: BlobHash): Promise<Readable | undefined>
  close(): void
}

const topics = { hand: 'control.blob', find: 'control.blob.find' } as const
const hash = /^[0-9a-f]{64}$/

export function openHandAhead({ mesh, blobs, keep, limits, log }: HandAheadOptions): HandAhead {
  const handed = new Set<string>()

  const withdraw = [
    mesh.serve(topics.hand, async ({ head, body }) => {
      const blob = String(head.blob)
      if (hash.test(blob)) await keep(blob, body)
      body.destroy()
      return {}
    }),
    mesh.serve(topics.find, async ({ head }) => {
      const blob = String(head.blob)
      const body = hash.test(blob) ? await blobs.stream(blob) : undefined
      return { head: { found: body !== undefined }, body: body ?? null }
    }),
  ]

  /** False when it was handed over before. */
  function note(node: NodeId, blob: BlobHash): boolean {
    const name = `${node} ${blob}`
    if (handed.has(name)) return false
    handed.add(name)
    if (handed.size > limits.blobsHanded) handed.delete(handed.values().next().value!)
    return true
  }

  async function handAll(node: NodeId, deployment: Deployment): Promise<void> {
    for (const blob of blobsOf(deployment)) {
      // What stays in countries reaches their nodes by the way that is theirs.
      if (!hash.test(blob) || !note(node, blob)) continue
      const bytes = await blobs.stream(blob)
      const answer = await mesh.ask(node, topics.hand, { head: { blob }, body: bytes ?? null })
      answer.body.resume()
    }
  }

  return {
    hand(deployment, within) {
      for (const { node, country, reachable } of mesh.peers())
        if (reachable && allows(within, country))
          handAll(node, deployment).catch((error: unknown) =>
            log('a blob was not handed to another node', { node, error: String(error) }),
          )
    },
    async find(blob) {
      if (!hash.test(blob)) return undefined
      for (const { node, reachable } of mesh.peers()) {
        if (!reachable) continue
        const answer = await mesh.ask(node, topics.find, { head: { blob } }).catch(() => undefined)
        if (answer?.head.found) return answer.body
        answer?.body.resume()
      }
      return undefined
    },
    close() {
      for (const back of withdraw) back()
    },
  }
}

/** What must be here for a program to start without the platform; its files besides: `bring-blobs.ts`. */
export function* blobsOf({ code, compute, bindings, assets }: Deployment): Generator<BlobHash> {
  for (const module of code?.modules ?? []) yield module.blob
  for (const binding of bindings) if (binding.kind === 'blob') yield binding.blob
  if (compute !== undefined) yield compute.module
  if (assets !== undefined) yield assets.manifest
  if (assets?.ruleFiles !== undefined) yield assets.ruleFiles
}
