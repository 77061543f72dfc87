// needs: current-nats-server
/** `rimward nats-config` against real servers: they start from its output, and rights end at the border. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer, connect as dial } from 'node:net'
import { join } from 'node:path'
import { pipeline } from 'node:stream'
import { type TestContext, test } from 'node:test'
import { connect, nkeyAuthenticator } from '@nats-io/transport-node'
import { natsConfig } from '#/cli/commands/nats-config.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Change } from '#/core/ports.ts'
import { type NatsFabric, type NatsFabricOptions, openNatsFabric } from '#/fabric/nats/fabric.ts'
import { newestServer, runServer, temporaryFolder, whenReady } from '#/fabric/nats/server.fixture.ts'

/** A port whose companions for routes and leaf nodes are free too. */
async function freeBases(count: number): Promise<number[]> {
  const bases: number[] = []
  while (bases.length < count) {
    const base = 20_000 + Math.floor(Math.random() * 10_000)
    const all = await Promise.all([base, base + 2000, base + 3200].map(isFree))
    if (all.every(Boolean) && !bases.includes(base)) bases.push(base)
  }
  return bases
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  const free = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)])
  if (free) await new Promise((resolve) => server.close(resolve))
  return free
}

interface Platform {
  readonly folder: string
  readonly bases: readonly number[]
  readonly lines: string[]
  run(apply: boolean): Promise<void>
  open(pop: string, options?: Partial<NatsFabricOptions>): Promise<NatsFabric>
}

async function configure(
  t: TestContext,
  flags: { country: string; within: string[]; leaf?: string },
  countries: string[],
): Promise<Platform> {
  const folder = await temporaryFolder(t)
  const bases = await freeBases(countries.length)
  const servers = bases.map((base, i) => `127.0.0.1:${base}:${countries[i]}`).join(',')
  const lines: string[] = []
  const terminal = { env: {}, folder, out: (line: string) => lines.push(line), err: (line: string) => lines.push(line) }
  const all = { ...flags, servers, dir: folder, store: join(folder, 'store'), platform: 'rimward' }
  return {
    folder,
    bases,
    lines,
    run: (apply) => natsConfig({ ...all, apply }, terminal, Date.now),
    async open(pop, options = {}) {
      const fabric = await openNatsFabric({
        servers: [`tls://127.0.0.1:${bases[0]}`],
        credentialsFile: join(folder, `pop-${pop}.nkey`),
        tls: { caFile: join(folder, 'ca.crt') },
        clock: Date.now,
        limits: defaultLimits,
        report: () => {},
        ...options,
      })
      t.after(() => fabric.close())
      return fabric
    },
  }
}

async function startServers(t: TestContext, { folder, bases }: Platform): Promise<void> {
  const names = bases.length === 1 ? ['127.0.0.1'] : bases.map((base) => `127.0.0.1-${base}`)
  await Promise.all(names.map((name) => runServer(t, newestServer(), ['-c', join(folder, `server-${name}.conf`)])))
}

test('three servers: placed streams, and users that stay in their countries', async (t) => {
  const platform = await configure(t, { country: 'fra:DE,par:FR,iad:US', within: ['DE,FR'] }, ['DE', 'DE', 'US'])
  await platform.run(false)
  await startServers(t, platform)
  await whenReady(() => platform.run(true))
  const [german, american] = [await platform.open('fra', { country: 'DE' }), await platform.open('iad')]
  const secret = Buffer.from('stays in Germany')

  await t.test('what lies in a country is on servers there alone, and the audit sees it', async () => {
    await german.bucket('customers', { within: ['DE'] }).put('ada', secret)
    await german.bucket('orders', { within: ['FR', 'DE'] }).put('1', secret)
    const places = new Map((await german.streams()).map((place) => [place.stream, place]))
    assert.equal(places.get('rimward-in-US')!.readable, false)
    const inGermany = places.get('rimward-in-DE')!
    assert.deepEqual(inGermany.tags, ['country:de'])
    assert.deepEqual(inGermany.within, ['DE'])
    const outside = `127.0.0.1-${platform.bases[2]}`
    for (const name of ['rimward-in-DE', 'rimward-in-DE-FR'])
      assert.ok(
        places.get(name)!.servers.every((server) => server.name !== outside),
        name,
      )
    assert.deepEqual(inGermany.buckets, [{ name: 'customers', records: 1, bytes: secret.length }])
    const files = await readdir(join(platform.folder, 'store', outside), { recursive: true })
    assert.ok(files.some((file) => file.includes('rimward-blobs')))
    assert.deepEqual(
      files.filter((file) => /rimward-in-DE/.test(file)),
      [],
    )
  })

  await t.test('a user of another country cannot read it, whichever way', async () => {
    const bucket = american.bucket('customers', { within: ['DE'] })
    await assert.rejects(bucket.get('ada'), { code: 'not_here' })
    await assert.rejects(bucket.put('ada', secret), { code: 'not_here' })
    await assert.rejects(bucket.list({ limit: 1 }), { code: 'not_here' })
    const denied = [
      '$JS.API.STREAM.MSG.GET.rimward-in-DE',
      '$JS.API.STREAM.INFO.rimward-in-DE',
      '$JS.API.CONSUMER.CREATE.rimward-in-DE.c.rimward.in.DE.>',
      '$JS.API.DIRECT.GET.rimward-in-DE.rimward.in.DE.b.customers.ada',
      '$JS.API.STREAM.CREATE.mine',
      '$JS.API.STREAM.SNAPSHOT.rimward-in-DE',
      'rimward.in.DE.b.customers.ada',
    ]
    const { connection } = await connectAs(t, platform, 'iad')
    for (const subject of denied) {
      const asked = connection.request(subject, '{"last_by_subj":"rimward.in.DE.b.customers.ada"}', { timeout: 5000 })
      await assert.rejects(asked, /permissions violation/i, subject)
    }
    for (const subject of ['>', 'rimward.in.DE.>', '_INBOX.>']) {
      const heard = connection.subscribe(subject)
      await assert.rejects(heard[Symbol.asyncIterator]().next(), /permissions violation/i, subject)
    }
  })

  await t.test('all of them share what may lie anywhere', async () => {
    const heard: Change[] = []
    american.bucket('programs').watch('', (change) => heard.push(change))
    const french = await platform.open('par')
    await french.bucket('programs').put('hello', Buffer.from('1'))
    assert.ok(await french.bucket('orders', { within: ['DE', 'FR'] }).get('1'))
    await whenReady(async () => assert.equal(heard.length, 1))
    const { hash } = await american.blobs.put(new Uint8Array(300_000).fill(7))
    assert.equal((await german.blobs.get(hash))?.length, 300_000)
    assert.ok(await german.lease('schedule', 10_000))
    assert.equal(await american.lease('schedule', 10_000), undefined)
  })

  await t.test('a node of another country does not even ask; one bucket lies in one place', async () => {
    const elsewhere = german.bucket('accounts', { within: ['US'] })
    await assert.rejects(elsewhere.get('k'), /lies within US; this is DE/)
    await assert.rejects(german.bucket('customers').get('ada'), /lies within DE, not anywhere/)
    await assert.rejects(german.bucket('orders', { within: ['DE'] }).get('1'), /lies within DE,FR, not within DE/)
  })

  await t.test('a node goes to the server that was named first as soon as it can, with its own rights', async (t) => {
    const [nearest, next] = platform.bases as [number, number]
    const [gate] = await freeBases(1)
    const servers = [`tls://127.0.0.1:${gate}`, `tls://127.0.0.1:${next}`]
    const node = await platform.open('par', { servers, limits: { ...defaultLimits, natsHomeMs: 50 } })
    assert.equal(node.server.name, `127.0.0.1-${next}`)
    const states: string[] = []
    node.onState((state) => states.push(state))
    let came = 0
    const open = createServer((socket) => {
      came++
      pipeline(socket, dial(nearest, '127.0.0.1'), socket, () => {})
    }).listen(gate)
    t.after(() => open.close())
    await whenReady(async () => assert.equal(node.server.name, `127.0.0.1-${nearest}`))
    const before = came
    for (let n = 0; n < 50; n++) await node.bucket('programs').put('from home', Buffer.from('1'))
    assert.deepEqual(states, [])
    // At home it looks no more.
    assert.equal(came, before)
    await node.close()
  })

  await t.test('countries nobody planned for are refused by name', async () => {
    const french = await platform.open('par')
    await assert.rejects(french.bucket('b', { within: ['FR', 'IT'] }).get('k'), /rimward-in-FR-IT/)
  })
})

test('one server with a leaf node beside a far point of presence', async (t) => {
  const platform = await configure(t, { country: 'fra:DE,nrt:JP', within: [], leaf: 'nrt' }, ['DE'])
  await platform.run(false)
  await startServers(t, platform)
  await whenReady(() => platform.run(true))
  const file = join(platform.folder, 'leaf-nrt.conf')
  await writeFile(file, (await readFile(file, 'utf8')).replace('127.0.0.1:4222', '127.0.0.1:-1'))
  const leaf = await runServer(t, newestServer(), ['-c', file])
  const far = await whenReady(() =>
    openNatsFabric({
      servers: [leaf.url],
      credentialsFile: join(platform.folder, 'pop-nrt.nkey'),
      clock: Date.now,
      limits: defaultLimits,
    }),
  )
  t.after(() => far.close())
  const near = await platform.open('fra', { serversWithin: ['DE'] })
  const heard: string[] = []
  far.bucket('programs').watch('', (change) => heard.push(change.kind === 'put' ? change.entry.key : ''))
  await near.bucket('programs').put('hello', Buffer.from('1'))
  await far.bucket('programs').put('back', Buffer.from('2'))
  await whenReady(async () => assert.deepEqual(heard, ['hello', 'back']))
  assert.equal((await near.bucket('programs').get('back'))?.value.length, 1)

  // A leaf node's rights end at the cluster, whatever the leaf allows.
  await near.bucket('customers', { within: ['DE'] }).put('ada', Buffer.from('stays'))
  await assert.rejects(far.bucket('customers', { within: ['DE'] }).get('ada'))
  await writeFile(file, (await readFile(file, 'utf8')).replace(/permissions \{[\s\S]*?\n {8}\}/, ''))
  const open = await runServer(t, newestServer(), ['-c', file])
  const { connection } = await connectAs(t, platform, 'nrt', open.port)
  const answer = await whenReady(() => connection.request('$JS.rimward.API.STREAM.INFO.rimward', '', { timeout: 2000 }))
  assert.equal(answer.json<{ error?: unknown }>().error, undefined)
  for (const subject of ['$JS.rimward.API.STREAM.MSG.GET.rimward-in-DE', '$JS.rimward.API.STREAM.INFO.rimward-in-DE']) {
    const asked = connection.request(subject, '{"last_by_subj":"rimward.in.DE.b.customers.ada"}', { timeout: 1000 })
    await assert.rejects(asked, /timeout|no responders/i, subject)
  }
})

test('keys are for the owner alone, stay over runs, and say so when they are wrong', async (t) => {
  const platform = await configure(t, { country: 'fra:DE', within: [] }, ['DE'])
  await platform.run(false)
  const secrets = (await readdir(platform.folder)).filter((name) => /\.(key|nkey)$/.test(name)).sort()
  assert.deepEqual(secrets, ['127.0.0.1.key', 'admin.nkey', 'ca.key', 'pop-fra.nkey', 'system.nkey'])
  for (const name of secrets) assert.equal((await stat(join(platform.folder, name))).mode & 0o777, 0o600, name)
  const read = () => Promise.all(secrets.map((name) => readFile(join(platform.folder, name), 'utf8')))
  const before = await read()
  await platform.run(false)
  assert.deepEqual(await read(), before)

  await startServers(t, platform)
  const other = await configure(t, { country: 'fra:DE', within: [] }, ['DE'])
  await other.run(false)
  const wrongKey = platform.open('fra', { credentialsFile: join(other.folder, 'pop-fra.nkey') })
  await assert.rejects(wrongKey, { code: 'fabric_away', message: /refused us: .*pop-fra\.nkey/ })
  const wrongAuthority = platform.open('fra', { tls: { caFile: join(other.folder, 'ca.crt') } })
  await assert.rejects(wrongAuthority, { code: 'fabric_away', message: /cannot be reached: .*certificate/i })
  await assert.rejects(platform.open('fra'), { code: 'not_here', message: /rimward is missing, .* may not make it/ })
})

async function connectAs(t: TestContext, { folder, bases }: Platform, pop: string, port?: number) {
  const seed = new TextEncoder().encode((await readFile(join(folder, `pop-${pop}.nkey`), 'utf8')).trim())
  const connection = await connect({
    servers: `127.0.0.1:${port ?? bases[0]}`,
    authenticator: nkeyAuthenticator(seed),
    inboxPrefix: `_INBOX_${await publicKey(folder, pop)}`,
    ...(port === undefined && {
      tls: { caFile: join(folder, 'ca.crt'), checkServerIdentity: () => undefined } as never,
    }),
  })
  t.after(() => connection.close())
  return { connection }
}

async function publicKey(folder: string, pop: string): Promise<string> {
  const { userOfSeed } = await import('#/nats-set-up.ts')
  return userOfSeed((await readFile(join(folder, `pop-${pop}.nkey`), 'utf8')).trim())
}
