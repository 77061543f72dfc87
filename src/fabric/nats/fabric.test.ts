// needs: nats-server
import assert from 'node:assert/strict'
import { after, before, describe, type TestContext, test } from 'node:test'
import { connect, headers as createHeaders, type NatsConnection } from '@nats-io/transport-node'
import { defaultLimits } from '#/core/limits.ts'
import { fabricContract, type OpenedFabric } from '../fabric.contract.ts'
import { type NatsFabric, type NatsFabricOptions, openNatsFabric } from './fabric.ts'
import {
  type ClusterServer,
  findServers,
  newestServer,
  type RunningServer,
  startCluster,
  startSingle,
  whenReady,
} from './server.fixture.ts'

let platforms = 0

/** A platform of its own on a shared server. */
async function openForContract(t: TestContext, { url }: RunningServer): Promise<OpenedFabric> {
  let now = Date.parse('2027-01-15T08:00:00Z')
  const platform = `p${platforms++}`
  const fabric = await open(t, url, { platform, clock: () => now, elapsed: () => now, report: () => {} })
  return {
    fabric,
    now: () => now,
    advance(ms) {
      now += ms
    },
    damage: (hash, position) => flip(url, platform, hash, position),
  }
}

async function open(t: TestContext, url: string, options: Partial<NatsFabricOptions>): Promise<NatsFabric> {
  const fabric = await openNatsFabric({ servers: [url], clock: Date.now, limits: defaultLimits, ...options })
  t.after(() => fabric.close())
  return fabric
}

/** Writes the part again, with one bit changed and the checksum of before. */
async function flip(url: string, platform: string, hash: string, position: number): Promise<void> {
  const connection = await connect({ servers: url })
  const head = await readLast(connection, platform, `${platform}.o.h.${hash}`)
  const [id] = /Rimward-Parts: (\S+)/.exec(head.fields)!.slice(1)
  const size = defaultLimits.natsPartBytes
  const subject = `${platform}.o.p.${id}.${Math.floor(position / size)}`
  const part = await readLast(connection, platform, subject)
  part.data[position % size]! ^= 1
  const headers = createHeaders()
  headers.set('Rimward-Sum', /Rimward-Sum: (\S+)/.exec(part.fields)![1]!)
  await connection.request(subject, part.data, { headers, timeout: 5000 })
  await connection.close()
}

async function readLast(connection: NatsConnection, platform: string, subject: string) {
  const call = `$JS.API.STREAM.MSG.GET.${platform}-blobs`
  const answer = await connection.request(call, JSON.stringify({ last_by_subj: subject }), { timeout: 5000 })
  const { message } = answer.json<{ message: { hdrs: string; data: string } }>()
  return { fields: Buffer.from(message.hdrs, 'base64').toString(), data: Buffer.from(message.data, 'base64') }
}

describe('three servers', () => {
  const stops: (() => unknown)[] = []
  const binary = newestServer()
  let servers: ClusterServer[]
  before(async () => {
    servers = await startCluster({ after: (stop) => void stops.unshift(stop as () => unknown) }, { binary })
    const [first] = servers
    const open = () => openNatsFabric({ servers: [first!.url], clock: Date.now, limits: defaultLimits, replicas: 3 })
    await (await whenReady(open)).close()
  })
  after(async () => {
    for (const stop of stops) await stop()
  })

  fabricContract(`three of nats ${binary.version}`, (t) => openForContract(t, servers[1]!))

  test('each stream has three copies, on the servers that it names', async (t) => {
    const fabric = await open(t, servers[2]!.url, { platform: 'copies' })
    await fabric.bucket('programs').put('a', Buffer.from('value'))
    const places = await fabric.streams()
    assert.deepEqual(
      places.map(({ stream, copies, servers }) => [
        stream,
        copies,
        servers
          .map(({ name }) => name)
          .sort()
          .join(),
      ]),
      [
        ['copies', 3, 'n0,n1,n2'],
        ['copies-blobs', 3, 'n0,n1,n2'],
      ],
    )
    assert.deepEqual(
      places[0]!.buckets.find(({ name }) => name === 'programs'),
      { name: 'programs', records: 1, bytes: 5 },
    )
  })
})

for (const binary of findServers()) {
  describe(`NATS ${binary.version}`, () => {
    let server: RunningServer
    const stops: (() => unknown)[] = []
    before(async () => {
      server = await startSingle({ after: (stop) => void stops.unshift(stop as () => unknown) }, binary)
    })
    after(async () => {
      for (const stop of stops) await stop()
    })

    fabricContract(`nats ${binary.version}`, (t) => openForContract(t, server))

    test('names of many records are listed in one reading', async (t) => {
      const now = Date.parse('2027-01-15T08:00:00Z')
      const bucket = (await open(t, server.url, { platform: 'many', clock: () => now })).bucket('b')
      const keys = Array.from(
        { length: defaultLimits.natsReadsAtOnce + 20 },
        (_, i) => `k${String(i).padStart(3, '0')}`,
      )
      const written = await Promise.all(keys.map((key) => bucket.put(key, Buffer.from(key))))
      await bucket.put('k000', Buffer.from('expired'), { expiresAt: now - 1 })
      await bucket.delete('k001')
      const listed = await bucket.list({ limit: 1000, keysOnly: true })
      assert.deepEqual(
        listed.map(({ key, revision, value }) => [key, revision, value.length]),
        keys.slice(2).map((key, i) => [key, written[i + 2], 0]),
      )
      const [first] = await bucket.list({ limit: 1, keysOnly: true, after: 'k004', prefix: 'k' })
      assert.equal(first?.key, 'k005')
    })

    test('the server is named', async (t) => {
      const fabric = await open(t, server.url, { platform: 'named' })
      assert.equal(fabric.server.version, binary.version)
    })
  })
}
