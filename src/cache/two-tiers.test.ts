import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultLimits } from '#/core/limits.ts'
import { type OpenStore, storeContract } from './store.contract.ts'
import { storeFuzz } from './store-fuzz.contract.ts'
import { createCacheStore } from './two-tiers.ts'

const memoryBytes = 4 * 1024 * 1024
const diskBytes = 24 * 1024 * 1024

const open: OpenStore = async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-cache-'))
  const store = await createCacheStore({
    folder,
    memoryBytes,
    diskBytes,
    limits: defaultLimits,
    clock: Date.now,
    log: () => {},
  })
  t.after(async () => {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  return { store, bytes: memoryBytes + diskBytes }
}

storeContract('two tiers', open)
storeFuzz('two tiers', open, 2000)
