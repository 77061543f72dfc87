// needs: nats-server
/** What goes wrong before and behind the contract: addresses, servers, streams, rights, connections that end. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, type TestContext, test } from 'node:test'
import { connect } from '@nats-io/transport-node'
import { defaultLimits } from '#/core/limits.ts'
import type { Change } from '#/core/ports.ts'
import { until } from '../fabric.contract.ts'
import { readAddress, readJoin } from './connect.ts'
import { type NatsFabric, type NatsFabricOptions, openNatsFabric } from './fabric.ts'
import {
  findServers,
  freePorts,
  newestServer,
  type RunningServer,
  startServer,
  startSingle,
  temporaryFolder,
} from './server.fixture.ts'

const limits = { ...defaultLimits, natsConnectMs: 1000, natsAttemptMs: 1000, natsWriteMs: 2000, natsReadMs: 2000 }
const value = Buffer.from('value')

async function open(
  t: TestContext,
  server: RunningServer | string,
  options: Partial<NatsFabricOptions> = {},
): Promise<NatsFabric> {
  const url = typeof server === 'string' ? server : server.url
  const fabric = await openNatsFabric({ servers: [url], clock: Date.now, limits, report: () => {}, ...options })
  t.after(() => fabric.close())
  return fabric
}

test('an address is read, and shown without its password', () => {
  const cases: [string, string, string][] = [
    ['nats://one:4333', 'one:4333', 'nats://one:4333'],
    ['one', 'one:4222', 'nats://one:4222'],
    ['tls://[::1]:4222', '[::1]:4222', 'tls://[::1]:4222'],
    ['nats://ada:pass%20word@one', 'one:4222', 'nats://one:4222'],
  ]
  for (const [text, host, shown] of cases)
    assert.deepEqual([readAddress(text).host, readAddress(text).shown], [host, shown])
  assert.equal(readAddress('nats://ada:pass%20word@one').password, 'pass word')
  for (const text of ['http://one', 'nats://', 'nats://one/path', 'ftp://one:21'])
    assert.throws(() => readAddress(text), { code: 'bad_request' }, text)
})

test('what --join names, with credentials and authority from the environment', () => {
  const environment = { RIMWARD_NATS_CREDENTIALS: 'k.nkey', RIMWARD_NATS_CA: 'ca.crt' }
  assert.deepEqual(readJoin('tls://a:4222, tls://b', environment), {
    servers: ['tls://a:4222', 'tls://b'],
    credentialsFile: 'k.nkey',
    tls: { caFile: 'ca.crt' },
  })
  assert.deepEqual(readJoin('a', {}), { servers: ['a'] })
  assert.throws(() => readJoin('http://a', {}), { code: 'bad_request' })
})

describe('what cannot be opened', () => {
  test('nobody there, somebody silent, somebody else', async (t) => {
    const silent = createServer((socket) => socket.resume()).listen(0, '127.0.0.1')
    const web = createHttpServer().listen(0, '127.0.0.1')
    await Promise.all([once(silent, 'listening'), once(web, 'listening')])
    t.after(() => silent.close())
    t.after(() => web.close().closeAllConnections())
    const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port
    const gone = createServer().listen(0, '127.0.0.1')
    await once(gone, 'listening')
    const port = portOf(gone)
    await new Promise((resolve) => gone.close(resolve))
    for (const wrong of [port, portOf(silent), portOf(web)]) {
      const since = performance.now()
      const message = new RegExp(`NATS at nats://127\\.0\\.0\\.1:${wrong} cannot be reached`)
      await assert.rejects(open(t, `nats://127.0.0.1:${wrong}`), { code: 'fabric_away', message })
      assert.ok(performance.now() - since < 5000)
    }
    await assert.rejects(open(t, 'nats://no-such-host.invalid:4222'), {
      code: 'fabric_away',
      message: /no-such-host\.invalid/,
    })
  })

  test('no JetStream, wrong password, damaged or missing credentials', async (t) => {
    const folder = await temporaryFolder(t)
    const plain = await startServer(t, { configuration: 'listen: "127.0.0.1:-1"\n', folder })
    await assert.rejects(open(t, plain), { code: 'fabric_away', message: /runs without JetStream/ })
    const locked = await startServer(t, {
      configuration: `listen: "127.0.0.1:-1"\njetstream { store_dir: "${folder}" }\nauthorization { user: ada, password: right }\n`,
      folder,
    })
    const withPassword = (password: string) => `nats://ada:${password}@127.0.0.1:${locked.port}`
    await assert.rejects(open(t, withPassword('wrong')), (error: Error) => {
      assert.match(error.message, /refused us/)
      assert.doesNotMatch(error.message, /wrong/)
      return true
    })
    await assert.rejects(open(t, locked), /refused us: .*No credentials were given/)
    assert.equal((await open(t, withPassword('right'))).state, 'here')
    const file = join(folder, 'seed')
    await assert.rejects(open(t, locked, { credentialsFile: file }), { code: 'bad_request', message: /cannot be read/ })
    for (const text of ['', 'SUAAAA', `SU${'A'.repeat(56)}`]) {
      await writeFile(file, text)
      await assert.rejects(open(t, locked, { credentialsFile: file }), { code: 'bad_request' }, text)
    }
  })

  test('TLS was asked for and is not there', async (t) => {
    const server = await startSingle(t, newestServer())
    await assert.rejects(open(t, `tls://127.0.0.1:${server.port}`), { code: 'fabric_away', message: /tls/i })
  })

  test('a stream of that name that is not ours is left alone', async (t) => {
    const server = await startSingle(t, newestServer())
    const connection = await connect({ servers: server.url })
    const config = { name: 'rimward', subjects: ['mine.>'], storage: 'file', num_replicas: 1 }
    await connection.request('$JS.API.STREAM.CREATE.rimward', JSON.stringify(config))
    await connection.close()
    await assert.rejects(open(t, server), {
      code: 'bad_request',
      message: /stream rimward .* its subjects are mine\.>/,
    })
    await assert.rejects(open(t, server, { platform: 'a.b' }), { code: 'bad_request' })
    assert.equal((await open(t, server, { platform: 'other' })).state, 'here')
  })
})

test('a node goes to the server that was named first, once it is there and has what is asked of it', async (t) => {
  const [port] = await freePorts(1)
  const folder = await temporaryFolder(t)
  const near = `nats://127.0.0.1:${port}`
  const far = await startSingle(t, newestServer(), 'server_name: far\n')
  const fabric = await open(t, far, { servers: [near, far.url], limits: { ...limits, natsHomeMs: 20 } })
  const states: string[] = []
  fabric.onState((state) => states.push(state))
  const heard: string[] = []
  fabric.bucket('b').watch('', (change) => heard.push(change.kind === 'put' ? change.entry.key : ''))

  const configuration = `listen: "127.0.0.1:${port}"\nserver_name: near\ndebug: true\njetstream { store_dir: "${folder}" }\n`
  const started = await startServer(t, { configuration, folder })
  const looks = () => started.log().match(/Client connection created/g)?.length ?? 0
  // It has no streams.
  await until(() => looks() > 12)
  assert.equal(fabric.server.name, 'far')

  const other = await open(t, started)
  await until(() => fabric.server.name === 'near')
  const before = looks()
  // Its streams are not those of the other: their numbers begin anew.
  for (let n = 0; n < 50 || heard.length === 0; n++) await other.bucket('b').put('at home', value)
  assert.equal(heard[0], 'at home')
  assert.equal((await fabric.bucket('b').get('at home'))?.value.length, value.length)
  assert.deepEqual(states, [])
  // At home nobody looks any more.
  assert.ok(looks() - before <= 3, `${looks() - before} looks`)
})

for (const binary of findServers())
  describe(`NATS ${binary.version}`, () => {
    let server: RunningServer
    const stops: (() => unknown)[] = []
    before(async () => {
      server = await startSingle({ after: (stop) => void stops.push(stop as () => unknown) }, binary)
    })
    after(async () => {
      for (const stop of stops) await stop()
    })

    test('names that look alike are different buckets and keys', async (t) => {
      const fabric = await open(t, server, { platform: 'names' })
      const names = ['a', 'A', 'a.b', 'a/b', 'a b', 'a*', '>', 'a=2Eb', 'ä', 'a\u0308']
      for (const bucket of names)
        for (const key of names) await fabric.bucket(bucket).put(key, Buffer.from(`${bucket}|${key}`))
      for (const bucket of names) {
        for (const key of names)
          assert.equal(String(Buffer.from((await fabric.bucket(bucket).get(key))!.value)), `${bucket}|${key}`)
        assert.equal((await fabric.bucket(bucket).list({ limit: 99 })).length, names.length)
      }
      const long = '鍵'.repeat(341)
      await fabric.bucket('long').put(long, value)
      assert.equal((await fabric.bucket('long').list({ limit: 9 }))[0]!.key, long)
    })

    test('the largest value and message go through, and are heard whole elsewhere', async (t) => {
      const [one, other] = [await open(t, server), await open(t, server)]
      const large = Buffer.alloc(limits.fabricValueBytes, 'rimward')
      const heard: Change[] = []
      const messages: Uint8Array[] = []
      other.bucket('large').watch('', (change) => heard.push(change))
      other.subscribe('topic', (message) => messages.push(message))
      await other.bucket('large').put('first', value)
      await one.bucket('large').put('k', large)
      one.publish('topic', large)
      await until(() => heard.length === 2 && messages.length === 1)
      const [, change] = heard
      assert.ok(change?.kind === 'put' && large.equals(change.entry.value))
      assert.ok(large.equals(messages[0]!))
      assert.ok(large.equals((await other.bucket('large').get('k'))!.value))
      assert.throws(() => one.publish('topic', Buffer.alloc(large.length + 1)), { code: 'body_too_large' })
    })

    test('a lease passes to another node when its length has been seen out, whatever the clocks say', async (t) => {
      let elapsed = 0
      const past = await open(t, server, { platform: 'leases', clock: () => 0, elapsed: () => elapsed })
      const future = await open(t, server, { platform: 'leases', clock: () => 9e12, elapsed: () => 5e9 + elapsed })
      const first = (await past.lease('l', 1000))!
      assert.equal(await future.lease('l', 1000), undefined)
      elapsed = 999
      assert.equal(await future.lease('l', 1000), undefined)
      assert.equal(await first.renew(), false)
      elapsed = 1000
      const second = (await future.lease('l', 1000))!
      assert.equal(second.epoch, first.epoch + 1)
      assert.equal(await past.lease('l', 1000), undefined)
      await second.release()
      assert.equal((await past.lease('l', 1000))!.epoch, second.epoch + 1)
    })

    test('on a single server what has to stay in a country needs the word of whoever runs it', async (t) => {
      const within = ['DE']
      const fabric = await open(t, server, { platform: 'placed' })
      await assert.rejects(fabric.bucket('b', { within }).put('k', value), { code: 'not_here', message: /lies in DE/ })
      const told = await open(t, server, { platform: 'placed', serversWithin: ['DE'] })
      await told.bucket('b', { within }).put('k', value)
      const places = (await told.streams()).map(({ stream, within: countries, buckets }) => [
        stream,
        countries,
        buckets.map(({ name }) => name),
      ])
      assert.deepEqual(places.at(-1), ['placed-in-DE', ['DE'], ['b']])
      await assert.rejects(told.bucket('c', { within: ['FR'] }).put('k', value), { code: 'not_here' })
    })

    test('what nobody needs any more is swept, what somebody may need is not', async (t) => {
      let now = Date.now()
      const fabric = await open(t, server, { platform: 'swept', clock: () => now })
      const bucket = fabric.bucket('b')
      await bucket.put('deleted', value)
      await bucket.delete('deleted')
      await bucket.put('expired', value, { expiresAt: now + 1000 })
      await bucket.put('kept', Buffer.alloc(300_000))
      await bucket.put('kept', Buffer.alloc(300_001, 1))
      const bytesNow = async () =>
        (await fabric.streams()).find(({ stream }) => stream === 'swept')!.buckets.find(({ name }) => name === 'b')!
          .bytes
      await fabric.sweep()
      assert.equal(await bytesNow(), 600_001 + value.length)
      now += 8 * 86_400_000
      await fabric.sweep()
      assert.equal(await bytesNow(), 300_001)
      assert.equal((await bucket.get('kept'))!.value.length, 300_001)
      assert.ok((await bucket.put('deleted', value, { expect: 0 }))! > 0)
    })

    test('a server that is gone is known at once; writes are refused in time and go on when it is back', async (t) => {
      const fabric = await open(t, server, { platform: 'gone' })
      const states: string[] = []
      fabric.onState((state) => states.push(state))
      const heard: string[] = []
      fabric.bucket('b').watch('', (change) => heard.push(change.kind === 'put' ? change.entry.key : ''))
      const before = (await fabric.bucket('b').put('before', value))!
      await until(() => heard.length === 1)
      server.signal('SIGSTOP')
      const since = performance.now()
      const refusal = { code: 'fabric_away', message: /not known/ }
      let acknowledged = 0
      const writeOn = async () => {
        for (; ; acknowledged++) await fabric.bucket('b').put('paused', value)
      }
      await assert.rejects(writeOn(), refusal)
      assert.ok(performance.now() - since < limits.natsWriteMs + 2000)
      assert.equal(fabric.state, 'away')
      await assert.rejects(fabric.bucket('b').put('refused', value), {
        code: 'fabric_away',
        message: /Nothing was written/,
      })
      await assert.rejects(fabric.lease('l', 1000), { code: 'fabric_away' })
      await assert.rejects(fabric.bucket('b').get('before'), { code: 'fabric_away' })
      server.signal('SIGCONT')
      await until(() => fabric.state === 'here')
      const written = (await fabric.bucket('b').put('after', value))! - before - acknowledged
      // The refused write, the one after it, and two or three signs, however many were sent: a cut-off leader has them in its log.
      assert.ok(written <= 6, `${written} messages`)
      await until(() => heard.at(-1) === 'after')
      assert.equal(await fabric.bucket('b').get('refused'), undefined)
      assert.ok(!heard.includes('refused'))
      assert.deepEqual(states, ['away', 'here'])
      for (const stop of stops) await stop()
      await until(() => fabric.state === 'away')
      const closing = performance.now()
      await fabric.close()
      assert.ok(performance.now() - closing < 5000)
    })
  })
