import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serializeManifest } from '#/core/asset-manifest.ts'
import type { BlobHash, Deployment } from '#/core/snapshot.ts'
import { bringDeployment } from './bring-blobs.ts'

const manifest = serializeManifest(
  new Map([
    ['/large', { hash: 'l', blob: 'large', size: 600 }],
    ['/small', { hash: 's', blob: 'small', size: 10 }],
    ['/medium', { hash: 'm', blob: 'medium', size: 300 }],
    ['/inside', { hash: 'i', blob: `${'a'.repeat(64)}@DE`, size: 1 }],
  ]),
)
const deployment = {
  code: { modules: [{ name: 'a.js', kind: 'esm', blob: 'module', bytes: 1 }] },
  bindings: [],
  assets: { manifest: 'manifest' },
} as unknown as Deployment

test('modules and files are brought, small files first, up to a bound; what is out of reach is told', async () => {
  const brought: BlobHash[] = []
  const bring = (away?: string) => async (blob: BlobHash) => {
    if (blob === away) return undefined
    brought.push(blob)
    return blob === 'manifest' ? manifest : new Uint8Array(1)
  }
  await bringDeployment(deployment, bring(), { assetBytesBrought: 500 })
  assert.deepEqual(new Set(brought.splice(0)), new Set(['module', 'manifest', 'small', 'medium']))
  await assert.rejects(bringDeployment(deployment, bring('medium'), { assetBytesBrought: 5000 }), /blob medium is out/)
  assert.deepEqual(new Set(brought), new Set(['module', 'manifest', 'small']))
})
