/** What the cache knows survives the process, also one that is killed. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { say, startOrigin } from './support/delivery.ts'
import { startNode, temporaryFolder, until } from './support/node.ts'

test('answers are warm again after the node was killed', { timeout: 60_000 }, async (t) => {
  const origin = await startOrigin(t)
  const data = await temporaryFolder(t, 'warm')
  const first = await startNode(t, { data })
  const added = await first.api('/rimward/v1/sites', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'shop', origin: origin.url }),
  })
  assert.equal(added.status, 201)
  for (let index = 0; index < 20; index++) {
    origin.on(`/${index}`, say({ 'cache-control': 'max-age=600', etag: '"v"' }, `body ${index}`))
    assert.equal((await first.get('shop.localhost', `/${index}`)).headers['cf-cache-status'], 'MISS')
  }
  // Answers reach the disk behind the scenes.
  await until(() => isOnDisk(join(data, 'cache'), 'body 19'), 'the last answer on disk')
  await first.stop('SIGKILL')
  await origin.stop()
  const second = await startNode(t, { data })
  let warm = 0
  for (let index = 0; index < 20; index++) {
    const { status, text, headers } = await second.get('shop.localhost', `/${index}`)
    if (status === 200) assert.equal(text, `body ${index}`)
    if (headers['cf-cache-status'] === 'HIT') warm++
  }
  t.diagnostic(`${warm} of 20 answers were warm`)
  assert.ok(warm >= 15)
})

async function isOnDisk(folder: string, text: string): Promise<boolean> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  for (const entry of entries)
    if (entry.isFile() && (await readFile(join(entry.parentPath, entry.name))).includes(text)) return true
  return false
}
