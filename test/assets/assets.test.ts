/** Files from an upload session to an answer, on the embedded fabric. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { createAssets } from '#/assets/assets.ts'
import { createAssetHash, extensionOf } from '#/control/assets-content.ts'
import { createAssetUploads } from '#/control/assets-uploads.ts'
import { createTraces } from '#/control/traces.ts'
import { blobsOfManifest } from '#/core/asset-manifest.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Trace } from '#/core/traces.ts'
import { openSqliteFabric } from '#/fabric/sqlite/fabric.ts'
import { openSeal } from '#/stores/seal.ts'

async function openPlatform(folder: string) {
  const fabric = await openSqliteFabric({ folder: join(folder, 'fabric'), clock: Date.now, limits: defaultLimits })
  const seal = await openSeal({ keyFile: join(folder, 'secret.key') })
  const uploads = await createAssetUploads({ fabric, seal, limits: defaultLimits, clock: Date.now })
  const close = async () => {
    uploads.close()
    await fabric.close()
  }
  return { fabric, uploads, close }
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-assets-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

function describe(files: Record<string, Buffer>) {
  const entries = Object.entries(files).map(([path, content]) => {
    const hash = createAssetHash(extensionOf(path))
    hash.update(content)
    return [path, { hash: hash.digest(), size: content.length }] as const
  })
  return Object.fromEntries(entries)
}

async function* inParts(content: Buffer): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < content.length; from += 65_536) yield content.subarray(from, from + 65_536)
}

test('files are uploaded over a restart, and answered small and large', async (t) => {
  const folder = await temporaryFolder(t)
  const files = { '/index.html': Buffer.from('<h1>home</h1>'), '/large.bin': Buffer.alloc(1_000_000, 'abcdefg') }
  const manifest = describe(files)
  const first = await openPlatform(folder)
  const { jwt } = await first.uploads.open('site', manifest)
  const token = await first.uploads.authorize(jwt)
  const { hash } = manifest['/index.html']!
  await first.uploads.store(token, hash, 'text/html', inParts(files['/index.html']))
  const cut = inParts(files['/large.bin'].subarray(0, 500_000))
  const large = manifest['/large.bin']!.hash
  await assert.rejects(first.uploads.store(token, large, undefined, cut), {
    name: 'AssetsRefused',
    why: 'wrong_content',
  })
  await first.close()

  const { fabric, uploads, close } = await openPlatform(folder)
  t.after(close)
  const again = await uploads.authorize(jwt)
  const done = await uploads.store(again, large, undefined, inParts(files['/large.bin']))
  const context = { program: 'site', hasCode: false }
  const deployment = await uploads.assetsDeploymentFrom({ jwt: done.jwt }, context)
  assert.equal(blobsOfManifest((await fabric.blobs.get(deployment.manifest))!).size, 2)

  const assets = createAssets({ blobs: fabric.blobs, limits: defaultLimits })
  const ask = async (path: string, headers: string[] = []) => {
    const { status, body } = await assets.answer(deployment, { method: 'GET', path, headers })
    const bytes = body === null ? Buffer.alloc(0) : body instanceof Uint8Array ? Buffer.from(body) : await buffer(body)
    return [status, bytes.toString()]
  }
  assert.deepEqual(await ask('/'), [200, '<h1>home</h1>'])
  assert.deepEqual(await ask('/large.bin'), [200, files['/large.bin'].toString()])
  assert.deepEqual(await ask('/large.bin', ['range', 'bytes=700000-700006']), [206, 'abcdefg'])
})

test('traces reach a listener of another point of presence', async (t) => {
  const { fabric, close } = await openPlatform(await temporaryFolder(t))
  const here = createTraces({ fabric, clock: Date.now, limits: defaultLimits })
  const there = createTraces({ fabric, clock: Date.now, limits: defaultLimits })
  t.after(async () => {
    here.close()
    there.close()
    await close()
  })
  const heard: Trace[] = []
  const stop = there.listen('hello', (trace) => heard.push(trace))
  while (!here.wanted('hello')) await setTimeout(5)
  here.emit({ scriptName: 'hello', outcome: 'ok', eventTimestamp: 1, event: null, logs: [], exceptions: [] })
  while (heard.length === 0) await setTimeout(5)
  assert.equal(heard[0]!.scriptName, 'hello')
  stop()
  while (here.wanted('hello')) await setTimeout(5)
})
