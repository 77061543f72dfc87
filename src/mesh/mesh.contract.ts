/** What every mesh must do: an implementation is done when it passes. The one in memory runs it too. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { finished } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import type { MeshCall } from '#/core/mesh.ts'
import { counted, MiB, type OpenMeshes, until } from './contract.fixture.ts'
import { tunnelContract } from './tunnels.contract.ts'

export function meshContract(name: string, open: OpenMeshes): void {
  describe(`${name}: a mesh`, () => {
    callContract(open)
    bodyContract(open)
    failureContract(open)
    peerContract(open)
    tunnelContract(open)
  })
}

function callContract(open: OpenMeshes): void {
  test('a call has a head and a body both ways, and says who calls', async (t) => {
    const { fra, iad } = await open(t)
    let call: MeshCall | undefined
    iad.serve('greet', async (arrived) => {
      call = arrived
      return { head: { heard: await text(arrived.body) }, body: Buffer.from('from iad') }
    })
    const answer = await fra.ask('iad', 'greet', {
      head: { n: 1, deep: { list: [null, 'é🔑'] } },
      body: Buffer.from('hi'),
    })
    assert.equal(await text(answer.body), 'from iad')
    assert.deepEqual(answer.head, { heard: 'hi' })
    assert.deepEqual(call?.head, { n: 1, deep: { list: [null, 'é🔑'] } })
    assert.equal(call?.topic, 'greet')
    assert.deepEqual(call?.from, { node: 'fra', pop: 'fra', country: 'DE' })
  })

  test('without head and body both are empty', async (t) => {
    const { fra, iad } = await open(t)
    iad.serve('nothing', async ({ head, body }) => ({ head: { head, bytes: (await buffer(body)).length } }))
    const answer = await fra.ask('iad', 'nothing')
    assert.deepEqual(answer.head, { head: {}, bytes: 0 })
    assert.equal(await text(answer.body), '')
  })

  test('a head of 250 KiB passes, and what a topic is called does not matter', async (t) => {
    const { fra, iad } = await open(t)
    iad.serve('a topic/with é%2F?#', async ({ head }) => ({ head }))
    const head = { url: 'u'.repeat(250 * 1024) }
    const answer = await fra.ask('iad', 'a topic/with é%2F?#', { head })
    answer.body.resume()
    assert.deepEqual(answer.head, head)
  })

  test('a head beyond the limit is refused, in both directions', async (t) => {
    const { fra, iad } = await open(t)
    iad.serve('large', async () => ({ head: { url: 'u'.repeat(257 * 1024) } }))
    await assert.rejects(fra.ask('iad', 'large', { head: { url: 'u'.repeat(257 * 1024) } }), {
      code: 'headers_too_large',
    })
    await assert.rejects(fra.ask('iad', 'large'), { code: 'headers_too_large' })
  })

  test('a hundred calls at once each get their own answer', async (t) => {
    const { fra, iad, nrt } = await open(t)
    for (const mesh of [iad, nrt])
      mesh.serve('echo', async ({ head, body }) => ({ head: { ...head, by: mesh.self.node }, body }))
    const one = async (i: number) => {
      const node = i % 2 === 0 ? 'iad' : 'nrt'
      const bytes = randomBytes(i * 997)
      const { head, body } = await fra.ask(node, 'echo', {
        head: { i },
        body: i % 3 === 0 ? Readable.from([bytes]) : bytes,
      })
      assert.deepEqual(head, { i, by: node })
      assert.deepEqual(await buffer(body), bytes)
    }
    await Promise.all(Array.from({ length: 100 }, (_, i) => one(i)))
  })

  test('a topic is served once, until it is taken back', async (t) => {
    const { fra, iad } = await open(t)
    const end = iad.serve('one', async () => ({ head: { by: 1 } }))
    assert.throws(() => iad.serve('one', async () => ({})))
    end()
    await assert.rejects(fra.ask('iad', 'one'), { code: 'internal', message: /does not serve one/ })
    iad.serve('one', async () => ({ head: { by: 2 } }))
    const { head, body } = await fra.ask('iad', 'one')
    body.resume()
    assert.deepEqual(head, { by: 2 })
  })
}

async function hashOf(body: Readable): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of body) hash.update(chunk)
  return hash.digest('hex')
}

function bodyContract(open: OpenMeshes): void {
  test('large bodies stream both ways at once, byte for byte', async (t) => {
    const { fra, iad } = await open(t)
    const down = counted(16 * MiB)
    const received = Promise.withResolvers<string>()
    iad.serve('both', async ({ body }) => {
      hashOf(body).then(received.resolve, received.reject)
      return { body: down.stream }
    })
    const up = counted(16 * MiB)
    const answer = await fra.ask('iad', 'both', { body: up.stream })
    assert.equal(await hashOf(answer.body), down.hash)
    assert.equal(await received.promise, up.hash)
  })

  test('who does not read holds the sender back, and other calls go on', async (t) => {
    const { fra, iad } = await open(t)
    const down = counted(64 * MiB)
    const up = counted(64 * MiB)
    iad.serve('stuck', async () => ({ body: down.stream }))
    iad.serve('unread', () => new Promise(() => {}))
    iad.serve('quick', async () => ({ head: { quick: true } }))
    const stuck = await fra.ask('iad', 'stuck')
    const controller = new AbortController()
    const unread = fra.ask('iad', 'unread', { body: up.stream, signal: controller.signal })
    for (let i = 0; i < 50; i++) (await fra.ask('iad', 'quick')).body.resume()
    assert.ok(down.given() < 8 * MiB, `${down.given()} bytes were given to who reads none`)
    assert.ok(up.given() < 8 * MiB, `${up.given()} bytes were given to who reads none`)
    stuck.body.destroy()
    controller.abort(new Error('enough'))
    await assert.rejects(unread, /enough/)
    await until(() => down.stream.destroyed && up.stream.destroyed)
  })

  test('an answer may be whole before its request is', async (t) => {
    const { fra, iad } = await open(t)
    iad.serve('early', async () => ({ head: { enough: true }, body: Buffer.alloc(100_000, 7) }))
    const up = counted(64 * MiB)
    const answer = await fra.ask('iad', 'early', { body: up.stream })
    assert.equal((await buffer(answer.body)).length, 100_000)
    await until(() => up.stream.destroyed)
  })

  test('a request that breaks off fails at the other side, with its code', async (t) => {
    const { fra, iad } = await open(t)
    const seen = Promise.withResolvers<unknown>()
    iad.serve('upload', async ({ body }) => {
      seen.resolve(await text(body).catch((error: unknown) => error))
      return {}
    })
    async function* broken() {
      yield Buffer.from('some')
      throw new EdgeError('storage_full', 'The disk is full.')
    }
    const answer = await fra.ask('iad', 'upload', { body: Readable.from(broken()) })
    answer.body.resume()
    const error = (await seen.promise) as EdgeError
    assert.equal(error.code, 'storage_full')
    assert.equal(error.message, 'The disk is full.')
  })

  test('an answer that breaks off fails for who asked, with its code, and never ends as if it were whole', async (t) => {
    const { fra, iad } = await open(t)
    async function* broken() {
      yield Buffer.alloc(100_000)
      throw new EdgeError('origin_failed', 'The origin went away.')
    }
    iad.serve('download', async () => ({ body: Readable.from(broken()) }))
    const answer = await fra.ask('iad', 'download')
    await assert.rejects(buffer(answer.body), { code: 'origin_failed', message: 'The origin went away.' })
    iad.serve('destroyed', async () => {
      const body = new Readable({ read() {} })
      body.push('some')
      setImmediate(() => body.destroy())
      return { body }
    })
    const destroyed = await fra.ask('iad', 'destroyed')
    await assert.rejects(buffer(destroyed.body), { name: 'EdgeError' })
  })
}

function failureContract(open: OpenMeshes): void {
  test('what a handler throws reaches the caller: the code of an EdgeError, else internal', async (t) => {
    const { fra, iad } = await open(t)
    iad.serve('edge', async () => {
      throw new EdgeError('not_here', 'Not in this country.')
    })
    iad.serve('bug', async () => {
      throw new TypeError('a bug')
    })
    const notHere = await fra.ask('iad', 'edge', { body: Buffer.alloc(3 * MiB) }).catch((error: unknown) => error)
    assert.ok(notHere instanceof EdgeError)
    assert.equal(notHere.code, 'not_here')
    assert.equal(notHere.message, 'Not in this country.')
    await assert.rejects(fra.ask('iad', 'bug'), { name: 'EdgeError', code: 'internal' })
  })

  test('an unknown topic is internal, an unknown node is away', async (t) => {
    const { fra } = await open(t)
    await assert.rejects(fra.ask('iad', 'nobody-serves-this'), { code: 'internal', message: /nobody-serves-this/ })
    await assert.rejects(fra.tunnel('iad', 'nobody-serves-this'), { code: 'internal', message: /nobody-serves-this/ })
    await assert.rejects(fra.ask('mars', 'greet'), { code: 'peer_away', message: /mars/ })
    await assert.rejects(fra.tunnel('mars', 'greet'), { code: 'peer_away', message: /mars/ })
  })

  test('a call that is given up is given up at the other side too', async (t) => {
    const { fra, iad } = await open(t)
    const arrived = Promise.withResolvers<MeshCall>()
    iad.serve('slow', (call) => {
      arrived.resolve(call)
      return new Promise(() => {})
    })
    const controller = new AbortController()
    const asked = fra.ask('iad', 'slow', { signal: controller.signal })
    const call = await arrived.promise
    assert.equal(call.signal.aborted, false)
    controller.abort(new Error('no longer wanted'))
    await assert.rejects(asked, /no longer wanted/)
    await until(() => call.signal.aborted)
    await assert.rejects(
      fra.ask('iad', 'slow', { signal: AbortSignal.abort(new Error('never wanted')) }),
      /never wanted/,
    )
  })

  test('a body that is given up ends its source', async (t) => {
    const { fra, iad } = await open(t)
    const bodies = [counted(64 * MiB).stream, counted(64 * MiB).stream]
    let next = 0
    iad.serve('endless', async () => ({ body: bodies[next++]! }))
    const first = await fra.ask('iad', 'endless')
    first.body.destroy()
    await until(() => bodies[0]!.destroyed)
    const controller = new AbortController()
    const second = await fra.ask('iad', 'endless', { signal: controller.signal })
    controller.abort(new Error('seen enough'))
    await assert.rejects(buffer(second.body), /seen enough/)
    await until(() => bodies[1]!.destroyed)
  })

  test('a finished call does not hear of its signal any more', async (t) => {
    const { fra, iad } = await open(t)
    const arrived = Promise.withResolvers<MeshCall>()
    iad.serve('done', async (call) => {
      arrived.resolve(call)
      return { body: Buffer.from('whole') }
    })
    const controller = new AbortController()
    const answer = await fra.ask('iad', 'done', { signal: controller.signal })
    assert.equal(await text(answer.body), 'whole')
    controller.abort()
    const { signal } = await arrived.promise
    await (await fra.ask('iad', 'done')).body.resume()
    assert.equal(signal.aborted, false)
  })

  test('a link cut in the middle: calls, answers and tunnels end with peer_away on both sides', async (t) => {
    const { fra, iad, nrt, cut, heal } = await open(t)
    const waiting = Promise.withResolvers<MeshCall>()
    iad.serve('never', (call) => {
      waiting.resolve(call)
      return new Promise(() => {})
    })
    iad.serve('drip', async () => {
      const body = new Readable({ read() {} })
      body.push('drip')
      return { body }
    })
    const atIad = Promise.withResolvers<Readable>()
    iad.serveTunnel('tunnel', (_, stream) => atIad.resolve(stream))
    nrt.serve('fine', async () => ({}))
    const never = fra.ask('iad', 'never')
    const drip = await fra.ask('iad', 'drip')
    await once(drip.body, 'readable')
    const tunnel = await fra.tunnel('iad', 'tunnel')
    const [call, other] = await Promise.all([waiting.promise, atIad.promise])
    const ends = [finished(tunnel.resume()), finished(other.resume())].map((end) =>
      end.catch((error: unknown) => error),
    )
    cut('fra', 'iad')
    await assert.rejects(never, { code: 'peer_away' })
    await assert.rejects(buffer(drip.body), { code: 'peer_away' })
    for (const end of ends) assert.equal(((await end) as EdgeError).code, 'peer_away')
    await until(() => call.signal.aborted)
    await assert.rejects(fra.ask('iad', 'never'), { code: 'peer_away' })
    ;(await fra.ask('nrt', 'fine')).body.resume()
    heal('fra', 'iad')
    await until(() => fra.peers().every((peer) => peer.reachable))
  })
}

function peerContract(open: OpenMeshes): void {
  test('peers are all others with their places; who listens hears of cuts', async (t) => {
    const { fra, iad, cut, heal } = await open(t)
    assert.deepEqual(
      fra
        .peers()
        .map(({ node, pop, country, reachable }) => ({ node, pop, country, reachable }))
        .toSorted((one, other) => (one.node < other.node ? -1 : 1)),
      [
        { node: 'iad', pop: 'iad', country: 'US', reachable: true },
        { node: 'nrt', pop: 'nrt', country: 'JP', reachable: true },
      ],
    )
    const heard: boolean[] = []
    const end = fra.onPeers((peers) => heard.push(peers.find((peer) => peer.node === 'iad')!.reachable))
    cut('fra', 'iad')
    await until(() => heard.includes(false) && iad.peers().some((peer) => peer.node === 'fra' && !peer.reachable))
    assert.ok(fra.peers().find((peer) => peer.node === 'nrt')!.reachable)
    heal('fra', 'iad')
    await until(() => heard.at(-1) === true && iad.peers().every((peer) => peer.reachable))
    end()
    const before = heard.length
    cut('fra', 'iad')
    await until(() => fra.peers().some((peer) => !peer.reachable))
    assert.equal(heard.length, before)
  })

  test('a node that closes is away for the others', async (t) => {
    const { fra, iad } = await open(t)
    iad.serve('greet', async () => ({}))
    await iad.close()
    await until(() => fra.peers().some((peer) => peer.node === 'iad' && !peer.reachable))
    await assert.rejects(fra.ask('iad', 'greet'), { code: 'peer_away' })
    await assert.rejects(iad.ask('fra', 'greet'), { code: 'peer_away' })
  })
}
