/** What both halves of the contract use. */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import type { Mesh } from '#/core/mesh.ts'

export interface OpenedMeshes {
  /** `fra:DE`, `iad:US`, `nrt:JP`; all links stand. */
  readonly fra: Mesh
  readonly iad: Mesh
  readonly nrt: Mesh
  /** Breaks what is in flight between two, and lets nothing through until `heal`. */
  cut(one: string, other: string): void
  heal(one: string, other: string): void
}

export type OpenMeshes = (t: TestContext) => Promise<OpenedMeshes>

/** Resolves when `condition` holds; fails by the runner's time limit, never by luck. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

export const MiB = 1024 * 1024

/** Bytes that depend on where they stand, and how many of them were asked for so far. */
export function counted(total: number): {
  readonly stream: Readable
  readonly given: () => number
  readonly hash: string
} {
  const block = createHash('sha256').update('block').digest()
  const chunk = Buffer.concat(Array.from({ length: 2048 }, () => block))
  let given = 0
  const stream = new Readable({
    read() {
      if (given >= total) return void this.push(null)
      given += chunk.length
      this.push(chunk)
    },
  })
  const hash = createHash('sha256')
  for (let left = total; left > 0; left -= chunk.length) hash.update(chunk)
  return { stream, given: () => given, hash: hash.digest('hex') }
}
