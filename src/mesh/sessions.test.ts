import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import type { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import { until } from './contract.fixture.ts'
import type { DialSocket } from './dial-node.ts'
import { readIdentity } from './identity.ts'
import { createPlatform, fra, iad } from './nodes.fixture.ts'
import { tlsOptions } from './session-settings.ts'

const patient = { ...defaultLimits, meshPingMs: 20, meshSilenceMs: 3_600_000 }

test('what a node is asked for is given up when the asking node falls silent, without a word of it', async (t) => {
  const { open, ways } = await createPlatform(t)
  const one = await open(fra, { limits: patient })
  const two = await open(iad, { limits: { ...defaultLimits, meshPingMs: 20, meshSilenceMs: 500 } })
  await until(() => one.peers()[0]?.reachable === true)
  const signals: AbortSignal[] = []
  two.serve('never', ({ signal }) => {
    signals.push(signal)
    return new Promise(() => {})
  })
  two.serveTunnel('hold', ({ signal }) => void signals.push(signal))
  const asked = assert.rejects(one.ask('iad', 'never'), { code: 'peer_away' })
  const tunnel = (await one.tunnel('iad', 'hold')).on('error', () => {})
  await until(() => signals.length === 2)
  ways.silence('fra', 'iad')
  await until(() => signals.every((signal) => signal.aborted))
  assert.equal(one.peers()[0]!.reachable, true)
  ways.heal('fra', 'iad')
  await asked
  await until(() => tunnel.destroyed)
})

test('an answer that came whole does not abort its signal', async (t) => {
  const { open } = await createPlatform(t)
  const one = await open(fra)
  const two = await open(iad)
  await until(() => one.peers()[0]?.reachable === true)
  const signals: AbortSignal[] = []
  two.serve('quick', async ({ signal }) => {
    signals.push(signal)
    return { body: Buffer.alloc(100_000) }
  })
  for (let i = 0; i < 20; i++) {
    const { body } = await one.ask('iad', 'quick')
    for await (const _ of body);
  }
  await two.close()
  assert.deepEqual(
    signals.map((signal) => signal.aborted),
    Array(20).fill(false),
  )
})

test('no call fails while sessions are replaced under it, again and again', async (t) => {
  const { open } = await createPlatform(t)
  const one = await open(fra)
  const two = await open(iad)
  await until(() => one.peers()[0]?.reachable === true)
  two.serve('who', async () => ({}))
  let done = false
  let answered = 0
  const asking = Array.from({ length: 4 }, async () => {
    while (!done) {
      ;(await one.ask('iad', 'who')).body.resume()
      answered++
    }
  })
  const all = Promise.all(asking)
  for (let i = 0; i < 8; i++) {
    const before = answered
    await Promise.race([Promise.all([one.renew(), two.renew()]), all])
    await Promise.race([until(() => answered > before + 20), all])
  }
  done = true
  await all
})

test('a node that closes is away, not overloaded, also for calls that meet its word for closing', async (t) => {
  const { open } = await createPlatform(t)
  const one = await open(fra)
  for (let round = 0; round < 5; round++) {
    const two = await open(iad)
    await until(() => one.peers()[0]?.reachable === true)
    two.serve('who', async () => ({}))
    let answered = 0
    const failures = Array.from({ length: 4 }, async () => {
      for (;;) {
        try {
          const { body } = await one.ask('iad', 'who')
          body.resume()
          answered++
        } catch (error) {
          return (error as EdgeError).code
        }
      }
    })
    await until(() => answered > 50)
    await two.close()
    assert.deepEqual(await Promise.all(failures), Array(4).fill('peer_away'))
  }
})

test('a body that was given up before it was handed over fails at the other side', async (t) => {
  const { open } = await createPlatform(t)
  const one = await open(fra)
  const two = await open(iad)
  await until(() => one.peers()[0]?.reachable === true)
  const gone = new Readable({ read() {} })
  gone.destroy()
  await once(gone, 'close')
  two.serve('gone', async () => ({ body: gone }))
  await assert.rejects(text((await one.ask('iad', 'gone')).body), { code: 'internal', message: /given up/ })
})

const day = 86_400_000
const limits = { ...defaultLimits, nodeCertificateSeconds: day / 1000, meshPingMs: 20 }

test("a session is replaced before a certificate expires, the other side's too; one in use ends when it does", async (t) => {
  const { open, ways } = await createPlatform(t)
  // TLS has the machine's own clock: certificates of before and after the renewal must both hold there now.
  const start = Date.now() - 0.7 * day
  let now = start
  const dialled: { chunks: number; closed: boolean }[] = []
  const dial: DialSocket = (entry) => {
    const way = { chunks: 0, closed: false }
    dialled.push(way)
    return ways
      .dialFrom('fra')(entry)
      .on('data', () => way.chunks++)
      .on('close', () => {
        way.closed = true
      })
  }
  const clock = () => now
  const one = await open(fra, { clock, dial, limits: { ...limits, meshHelloMs: 20 } })
  const two = await open(iad, { clock, limits: { ...limits, meshHelloMs: 3_600_000 } })
  await until(() => [one, two].every((mesh) => mesh.peers()[0]?.reachable === true))
  const broken: string[] = []
  for (const mesh of [one, two])
    mesh.onPeers((peers) => {
      for (const { node, reachable, problem } of peers) if (!reachable) broken.push(`${node}: ${problem}`)
    })
  const signals: AbortSignal[] = []
  two.serveTunnel('echo', ({ signal }, stream) => {
    signals.push(signal)
    stream.pipe(stream).on('error', () => {})
  })

  // One that nobody has adopted carries a dozen chunks, its handshake and a hello; then pings go on and on.
  const stands = () => dialled.at(-1)!.chunks > 40
  now = start + 0.6 * day
  await one.renew()
  await until(() => stands() && dialled.slice(0, -1).every(({ closed }) => closed))
  const renewed = dialled.length
  const early = await one.tunnel('iad', 'echo')
  const lost = assert.rejects(text(early), { code: 'peer_away' })
  await two.renew()
  now = start + 0.85 * day
  await until(() => dialled.length > renewed && stands())
  assert.equal(dialled[renewed - 1]!.closed, false)
  const late = await one.tunnel('iad', 'echo')

  now = start + 1.03 * day
  await lost
  await until(() => signals[0]!.aborted && dialled[renewed - 1]!.closed)
  late.end('still here')
  assert.equal(await text(late), 'still here')
  assert.equal(dialled.length, renewed + 1)
  assert.deepEqual(broken, [])
})

for (const side of ['calls', 'answers'] as const)
  test(`a session ends when a certificate expires that nobody could renew, as the node that ${side} sees it`, async (t) => {
    const { open } = await createPlatform(t)
    let now = Date.now()
    const moved = { clock: () => now, limits: { ...limits, meshHelloMs: 3_600_000 } }
    const one = await open(fra, side === 'calls' ? moved : { limits })
    const two = await open(iad, side === 'answers' ? moved : { limits })
    await until(() => one.peers()[0]?.reachable === true)
    two.serve('never', () => new Promise(() => {}))
    const asked = assert.rejects(one.ask('iad', 'never'), { code: 'peer_away' })
    now += 1.1 * day
    await asked
    await until(() => /certificate of (this node|the node fra) has expired/.test(one.peers()[0]!.problem ?? ''))
    now -= 1.1 * day
    await until(() => one.peers()[0]?.reachable === true)
  })

test('who shows a certificate of a node but says no hello is not kept', async (t) => {
  const { open, folder } = await createPlatform(t)
  const one = await open(fra, { limits: { ...limits, meshSilenceMs: 200 } })
  await (await open(iad)).close()
  const identity = (await readIdentity(join(folder, 'iad')))!
  const socket = connectTls({
    ...one.address,
    ...tlsOptions(identity),
    servername: 'node',
    checkServerIdentity: () => undefined,
  })
  const session = connectHttp2('https://node', { createConnection: () => socket }).on('error', () => {})
  const pinging = setInterval(() => session.destroyed || session.ping(() => {}), 20)
  await once(session, 'close')
  clearInterval(pinging)
})
