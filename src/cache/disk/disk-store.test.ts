import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { storeContract } from '../store.contract.ts'
import { storeFuzz } from '../store-fuzz.contract.ts'
import { createDiskStore, type DiskStore } from './disk-store.ts'

const bytes = 24 * 1024 * 1024

async function open(t: TestContext): Promise<{ store: DiskStore; bytes: number; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-cache-'))
  const store = await createDiskStore({ folder, bytes, limits: defaultLimits, clock: Date.now, log: () => {} })
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { store, bytes, folder }
}

storeContract('disk', open)
storeFuzz('disk', open, 1500)
