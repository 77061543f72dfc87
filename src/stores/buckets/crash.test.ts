/** SIGKILL at any moment: what was acknowledged is whole, what was not is whole or absent, and nothing else is left. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { glob, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { bucketAt } from '#/core/bucket-calls.ts'
import { isTroubled, type ListPage } from '#/core/buckets.ts'
import { defaultLimits } from '#/core/limits.ts'
import { openBuckets } from './open-buckets.ts'

const child = new URL('./write-until-killed.child.ts', import.meta.url).pathname

/** Lines of the child until it is killed, after so many. */
async function writeAndKill(folder: string, round: number, after: number): Promise<string[]> {
  const args = ['--disable-warning=ExperimentalWarning', child, folder, `${round}`]
  const writer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines: string[] = []
  for await (const line of createInterface(writer.stdout)) {
    lines.push(line)
    if (lines.length === after) writer.kill('SIGKILL')
  }
  if (writer.exitCode === null && writer.signalCode === null) await once(writer, 'exit')
  assert.equal(writer.signalCode, 'SIGKILL')
  return lines
}

async function md5Of(body: Uint8Array | AsyncIterable<Uint8Array> | null): Promise<{ md5: string; bytes: Buffer }> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body === null ? [] : body instanceof Uint8Array ? [body] : body) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  return { md5: createHash('md5').update(bytes).digest('hex'), bytes }
}

/** Of an object in three parts of 5000 bytes. */
function partsEtag(bytes: Buffer): string {
  const md5 = createHash('md5')
  for (const start of [0, 5000, 10_000])
    md5.update(
      createHash('md5')
        .update(bytes.subarray(start, start + 5000))
        .digest(),
    )
  return `${md5.digest('hex')}-3`
}

test('killed again and again, buckets keep what they acknowledged', { timeout: 120_000 }, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-buckets-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  for (const [round, after] of [40, 150, 77].entries()) {
    const last = new Map<string, { did: string; etag: string }>()
    for (const line of await writeAndKill(folder, round, after)) {
      const [did, key, , , etag] = line.split(' ') as [string, string, string, string, string]
      last.set(key, { did, etag })
    }
    const limits = { ...defaultLimits, bucketPartBytes: 1000 }
    const buckets = await openBuckets({ folder, limits, clock: Date.now, log: () => {} })
    try {
      const bucket = bucketAt({ call: (call) => buckets.handler(call) }, 'crash')
      await buckets.sweep()
      const { objects } = (await bucket.list({})) as ListPage
      const etags = new Map(objects.map(({ key, etag }) => [key, etag]))
      for (const { key, etag } of objects) {
        const found = await bucket.get(key)
        assert.ok(!isTroubled(found))
        const { md5, bytes } = await md5Of(found.body)
        assert.equal(key.startsWith('parts') ? partsEtag(bytes) : md5, etag, `${key} is whole`)
      }
      // A put or delete after the last acknowledged one may have been done, but not told.
      const differ = [...last].filter(([key, { did, etag }]) => etags.get(key) !== (did === 'put' ? etag : undefined))
      assert.ok(differ.length <= 6, `one unacknowledged change a writer: ${JSON.stringify(differ)}`)
      const sums = await bucket.sums()
      assert.deepEqual(sums, { objects: objects.length, bytes: objects.reduce((sum, { bytes }) => sum + bytes, 0) })
      const named = objects.filter(({ bytes }) => bytes > defaultLimits.bucketInlineBytes).length
      const inParts = objects.filter(({ key }) => key.startsWith('parts')).length * 3
      const unfinished = (await bucket.listUploads('')) as { readonly uploads: readonly { key: string; id: string }[] }
      let parts = 0
      for (const { key, id } of unfinished.uploads) {
        const held = (await bucket.listParts(key, id)) as { parts: unknown[] }
        parts += held.parts.length
      }
      const files = await Array.fromAsync(glob('crash/bodies/*/*', { cwd: folder }))
      assert.equal(files.length, named + inParts + parts, 'every file is named')
    } finally {
      await buckets.close()
    }
  }
})
