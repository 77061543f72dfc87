/** Bodies of any size reach clients while the node stays small: seen from outside a real node, whose memory is read from /proc. */
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { request, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { test } from 'node:test'
import { host, startDelivery } from './support/delivery.ts'
import { type RunningNode, until } from './support/node.ts'

const MiB = 1024 * 1024
const piece = Buffer.alloc(MiB, 'rimward\n')

/** Writes so many bytes, no faster than they are taken. */
function send(answer: ServerResponse, bytes: number): void {
  let left = bytes
  const more = () => {
    while (left > 0) {
      const size = Math.min(left, piece.length)
      left -= size
      if (!answer.write(size === piece.length ? piece : piece.subarray(0, size))) return void answer.once('drain', more)
    }
    answer.end()
  }
  more()
}

async function residentMiB({ data }: RunningNode): Promise<number> {
  const { pid } = JSON.parse(await readFile(join(data, 'node.json'), 'utf8')) as { pid: number }
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  // A process that has just ended has no such line.
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0) / 1024
}

/** Reads a body and forgets it. */
function drain(address: string, path: string, onData: () => void): Promise<{ bytes: number; state: unknown }> {
  const { hostname, port } = new URL(address)
  return new Promise((resolve, reject) => {
    request({ hostname, port, path, headers: { host }, agent: false }, (answer) => {
      let bytes = 0
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        onData()
      })
      answer.on('end', () => resolve({ bytes, state: answer.headers['cf-cache-status'] }))
      answer.on('error', reject)
    })
      .on('error', reject)
      .end()
  })
}

for (const [what, megabytes, declared, second] of [
  ['32 MiB', 32, true, 'HIT'],
  ['32 MiB of unknown length', 32, false, 'HIT'],
  ['600 MiB, more than is stored', 600, true, 'MISS'],
  ['600 MiB of unknown length', 600, false, 'MISS'],
] as const)
  test(`${what}: whole for the client, bounded in memory`, { timeout: 120_000 }, async (t) => {
    const { node, origin } = await startDelivery(t)
    const bytes = megabytes * MiB
    origin.on('/large', (_asked, answer) => {
      const length = declared ? { 'content-length': bytes } : {}
      answer.writeHead(200, { 'content-type': 'application/zip', 'cache-control': 'max-age=600', ...length })
      send(answer, bytes)
    })
    const before = await residentMiB(node)
    let most = before
    let asking = false
    const look = () => {
      if (asking) return
      asking = true
      void residentMiB(node).then((now) => {
        most = Math.max(most, now)
        asking = false
      })
    }
    assert.deepEqual(await drain(node.addresses.http, '/large', look), { bytes, state: 'MISS' })
    // It is stored a moment after its last byte left.
    const again = async () => {
      const got = await drain(node.addresses.http, '/large', look)
      assert.equal(got.bytes, bytes)
      return got.state === second
    }
    await until(again, `the second is a ${second}`, 60_000)
    const asked = origin.seen('/large').length
    if (second === 'HIT') assert.deepEqual([await again(), origin.seen('/large').length], [true, asked])
    assert.ok(most - before < 256, `${Math.round(most - before)} MiB more than before`)
    t.diagnostic(`${Math.round(before)} MiB before, ${Math.round(most)} MiB at most`)
  })

test('a cold range of 100 MiB neither waits for nor fetches the rest', { timeout: 60_000 }, async (t) => {
  const { origin, get, open } = await startDelivery(t)
  const total = 100 * MiB
  origin.on('/film', (asked, answer) => {
    const [, from, to] = /^bytes=(\d+)-(\d*)$/.exec(asked.headers.range ?? '') ?? []
    const common = { 'cache-control': 'max-age=600', etag: '"film"', 'accept-ranges': 'bytes' }
    if (from === undefined) {
      answer.writeHead(200, { ...common, 'content-length': total })
      return send(answer, total)
    }
    const end = to === '' ? total - 1 : Math.min(Number(to), total - 1)
    const length = end - Number(from) + 1
    answer.writeHead(206, { ...common, 'content-range': `bytes ${from}-${end}/${total}`, 'content-length': length })
    send(answer, length)
  })
  const at = 90 * MiB
  const cold = await open('/film', { range: `bytes=${at}-${at + 7}` })
  t.diagnostic(`first byte of a cold range after ${(await cold.firstByteMs).toFixed(1)} ms`)
  assert.deepEqual([cold.status, await cold.text], [206, 'rimward\n'])
  assert.deepEqual(
    origin.seen('/film').map(({ headers }) => headers.range),
    [`bytes=${at}-${at + 7}`],
  )
  // From now on in segments: what lies in one of them is not asked for again.
  for (const start of [10, 11, 10]) {
    const { status, text } = await get('/film', { headers: { range: `bytes=${start * 64}-${start * 64 + 7}` } })
    assert.deepEqual([status, text], [206, 'rimward\n'])
  }
  assert.equal(origin.seen('/film').length, 2)
})
