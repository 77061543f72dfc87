/** Nodes of one platform in one process, for the tests of this room. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { Place } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import { type MeshOptions, openMesh, type RunningMesh } from './mesh.ts'
import { createWays, type Ways } from './ways.fixture.ts'

export const fra: Place = { node: 'fra', pop: 'fra', country: 'DE' }
export const iad: Place = { node: 'iad', pop: 'iad', country: 'US' }
export const nrt: Place = { node: 'nrt', pop: 'nrt', country: 'JP' }

/** A seal that all of them share, as nodes of one platform do. */
export function createSeal(key = randomBytes(32)): Seal {
  return {
    seal(plaintext) {
      const nonce = randomBytes(12)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const sealed = Buffer.concat([cipher.update(plaintext, 'utf8'), cipher.final()])
      return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
    },
    open(sealed) {
      const bytes = Buffer.from(sealed, 'base64')
      const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, 12)).setAuthTag(bytes.subarray(12, 28))
      return Buffer.concat([cipher.update(bytes.subarray(28)), cipher.final()]).toString()
    },
  }
}

export interface Platform {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly ways: Ways
  readonly folder: string
  readonly said: string[]
  open(place: Place, options?: Partial<MeshOptions>): Promise<RunningMesh>
}

/** Everything is closed and removed after the test. */
export async function createPlatform(t: TestContext): Promise<Platform> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-mesh-'))
  const opened: RunningMesh[] = []
  t.after(async () => {
    await Promise.all(opened.map((mesh) => mesh.close()))
    await rm(folder, { recursive: true, force: true })
  })
  const fabric = createMemoryFabric(Date.now)
  const seal = createSeal()
  const ways = createWays()
  const said: string[] = []
  return {
    fabric,
    seal,
    ways,
    folder,
    said,
    async open(place, options = {}) {
      const mesh = await openMesh({
        folder: join(folder, place.node),
        place,
        listen: { host: '127.0.0.1', port: 0 },
        fabric,
        seal,
        version: '1.2.3',
        limits: defaultLimits,
        clock: Date.now,
        log: (message) => said.push(`${place.node}: ${message}`),
        dial: ways.dialFrom(place.node),
        ...options,
      })
      opened.push(mesh)
      return mesh
    },
  }
}
