/** Nodes with replicas on meshes in memory: links that can be cut and delayed, clocks that are wrong. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { createMemoryMeshes, type MemoryMeshes } from '#/core/memory-mesh.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Place, Within } from '#/core/pops.ts'
import type { Blobs } from '#/core/ports.ts'
import { openBlobs } from '#/fabric/sqlite/blobs.ts'
import { openGroupCommit } from '#/fabric/sqlite/group-commit.ts'
import { openReader } from '#/fabric/sqlite/reader.ts'
import { openReplicas, type Replicas } from '#/replication/replicas.ts'

/** Beats so fast that no test waits for one. */
export const quick: Limits = { ...defaultLimits, replicationBeatMs: 10, replicationRepairMs: 20 }

export interface ReplicaNode {
  readonly place: Place
  readonly folder: string
  readonly mesh: Mesh
  readonly blobs: Blobs
  readonly replicas: Replicas
  /** What this node's own clock says is put off by so many milliseconds. */
  skew(ms: number): void
  stop(): Promise<void>
}

export interface NodeOptions {
  readonly limits?: Partial<Limits>
  readonly clock?: () => number
  readonly monotonic?: () => number
  readonly folder?: string
  readonly withinOf?: (bucket: string) => Within | undefined
  readonly blobOf?: typeof blobOf
  readonly log?: (message: string, facts?: object) => void
}

/** Values that start with `blob:` name the blob behind it. */
export function blobOf(_bucket: string, value: Uint8Array): string | undefined {
  const text = Buffer.from(value.subarray(0, 80)).toString()
  return text.startsWith('blob:') ? text.slice(5) : undefined
}

export async function temporaryFolder(t: Pick<TestContext, 'after'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-replicas-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

export interface ReplicaNodes {
  readonly meshes: MemoryMeshes
  open(node: string, country: string, options?: NodeOptions): Promise<ReplicaNode>
}

/** Everything that was opened is closed when the test ends. */
export function createReplicaNodes(t: Pick<TestContext, 'after'>): ReplicaNodes {
  const meshes = createMemoryMeshes()
  const running = new Set<ReplicaNode>()
  t.after(() => Promise.all([...running].map((node) => node.stop())))
  return {
    meshes,
    async open(name, country, options = {}) {
      const folder = options.folder ?? (await temporaryFolder(t))
      const place = { node: name, pop: name, country }
      const mesh = meshes.join(place)
      const limits = { ...quick, ...options.limits }
      let off = 0
      const clock = () => (options.clock ?? Date.now)() + off
      const blobs = await openBlobs({ folder: join(folder, 'blobs'), clock, limits })
      const replicas = await openReplicas({
        folder: join(folder, 'replicas'),
        mesh,
        blobs,
        clock,
        monotonic: options.monotonic ?? (() => performance.now()),
        limits,
        log: options.log ?? (() => {}),
        withinOf: options.withinOf ?? (() => undefined),
        blobOf: options.blobOf ?? blobOf,
        openGroupCommit,
        openReader,
      })
      const opened: ReplicaNode = {
        place,
        folder,
        mesh,
        blobs,
        replicas,
        skew(ms) {
          off = ms
        },
        async stop() {
          running.delete(opened)
          await replicas.close()
          await mesh.close()
        },
      }
      running.add(opened)
      return opened
    },
  }
}
