/** Who may go where: addresses, names that change their mind, redirects, the platform's own sockets and sites. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, test } from 'node:test'
import type { EgressGrant } from '#/core/ports.ts'
import { listenOn, openEgress, request, textOf } from './origin.fixture.ts'

const seen: string[] = []
const server = createServer((incoming, outgoing) => {
  seen.push(`${incoming.headers.host}${incoming.url}`)
  if (incoming.url === '/away') outgoing.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
  else outgoing.end('reached')
})
let port = 0
before(async () => {
  port = await listenOn(server)
})
after(() => server.close())

const stranger = { by: { program: 'stranger' } } as const

test('nothing but public addresses without a rule, however they are written', async () => {
  const egress = openEgress({
    lookup: async (host) => ({ addresses: names[host] ?? [], ttl: 1000 }),
  })
  const names: Record<string, string[]> = {
    'loopback.example': ['127.0.0.1'],
    'mixed.example': ['93.184.216.34', '10.0.0.1'],
    'six.example': ['fd00::1'],
    'mapped.example': ['::ffff:127.0.0.1'],
    'nat64.example': ['64:ff9b::7f00:1'],
    'meta.example': ['169.254.169.254'],
  }
  const hosts = [
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.01',
    '0',
    '0.0.0.0',
    '[::]',
    '[::1]',
    '[::ffff:7f00:1]',
    '[::ffff:169.254.169.254]',
    '[64:ff9b::7f00:1]',
    '[2002:7f00:1::]',
    '[fe80::1]',
    '[fd00:ec2::254]',
    '169.254.169.254',
    '168.63.129.16',
    '10.0.0.1',
    '192.168.0.1',
    '172.16.9.9',
    '100.64.0.1',
    '224.0.0.1',
    '255.255.255.255',
    '127.0.0.1.',
    'localhost',
    'LOCALHOST.',
    'a.localhost',
    'a.b.localhost.',
    ...Object.keys(names),
    'mixed.example.',
  ] // prettier-ignore
  for (const host of hosts) {
    const answer = egress.fetch(request(`http://${host}:${port}/`, stranger))
    await assert.rejects(answer, { code: 'egress_refused' }, host)
  }
  assert.deepEqual(seen, [])
  await egress.close()
})

test('a refusal names what was asked for and not what it resolved to', async () => {
  const egress = openEgress({ lookup: async () => ({ addresses: ['10.20.30.40'], ttl: 1000 }) })
  await assert.rejects(egress.fetch(request('http://db.example/', stranger)), (error: Error) => {
    assert.match(error.message, /db\.example/)
    assert.doesNotMatch(error.message, /10\.20/)
    return true
  })
  await egress.close()
})

test('a name that changes its mind after the check: the connection goes where the check looked', async () => {
  const elsewhere = createServer((_incoming, outgoing) => outgoing.end('elsewhere'))
  const there = await listenOn(elsewhere, '127.0.0.2')
  let asked = 0
  let now = 0
  const egress = openEgress({
    clock: () => now,
    rules: { grants: (_by, { address }) => (address === '127.0.0.2' ? [{ names: 'address', port: false }] : []) },
    lookup: async () => ({ addresses: asked++ === 0 ? ['127.0.0.2'] : ['127.0.0.1'], ttl: 1000 }),
  })
  const ask = () => egress.fetch(request(`http://rebind.example:${there}/`))
  assert.equal(await textOf((await ask()).body), 'elsewhere')
  assert.equal(asked, 1)
  now += 2000
  await assert.rejects(ask(), { code: 'egress_refused' })
  assert.equal(asked, 2)
  await egress.close()
  elsewhere.close()
})

test('a redirect is handed back, and its target is checked like any other', async () => {
  const grant: EgressGrant[] = [{ names: 'address', port: true }]
  const egress = openEgress({ rules: { grants: (_by, to) => (to.port === port ? grant : []) } })
  const answer = await egress.fetch(request(`http://127.0.0.1:${port}/away`))
  assert.equal(answer.status, 302)
  const location = answer.headers[answer.headers.indexOf('location') + 1]!
  await assert.rejects(egress.fetch(request(location)), { code: 'egress_refused' })
  await egress.close()
})

test('a connection that a rule opened is not lent to others', async () => {
  const egress = openEgress({ lookup: async () => ({ addresses: ['127.0.0.1'], ttl: 60_000 }) })
  const url = `http://shared.example:${port}/`
  assert.equal(await textOf((await egress.fetch(request(url))).body), 'reached')
  await assert.rejects(egress.fetch(request(url, stranger)), { code: 'egress_refused' })
  await egress.close()
})

test("the platform's own sockets need a rule that names the port", async () => {
  const cases: [EgressGrant, string, boolean][] = [
    [{ names: 'network', port: false }, '127.0.0.1', false],
    [{ names: 'address', port: false }, '127.0.0.1', false],
    [{ names: 'address', port: true }, '127.0.0.1', true],
    [{ names: 'host', port: true }, '0.0.0.0', true],
    [{ names: 'host', port: false }, '0.0.0.0', false],
    [{ names: 'network', port: false }, '::', false],
    [{ names: 'network', port: false }, '127.0.0.2', true],
  ]
  for (const [grant, address, allowed] of cases) {
    const egress = openEgress({ rules: { grants: () => [grant] }, ownListeners: () => [{ address, port }] })
    const answer = egress.fetch(request(`http://127.0.0.1:${port}/`))
    if (allowed) assert.equal((await answer).status, 200)
    else await assert.rejects(answer, { code: 'egress_refused', message: /platform itself/ })
    await egress.close()
  }
})

test('cloud metadata needs a rule that names the address', async () => {
  const egress = openEgress({ rules: { grants: () => [{ names: 'network', port: false }] } })
  await assert.rejects(egress.fetch(request('http://169.254.169.254/')), { code: 'egress_refused' })
  await egress.close()
})

test('a host of this platform: its origin where it has one, else 1042', async () => {
  seen.length = 0
  const egress = openEgress({
    ownSite: (host, path) => {
      if (host === 'worker.example') return { site: 'worker' }
      if (host === 'www.example' && path.startsWith('/app')) return { site: 'www', origin: `http://127.0.0.1:${port}` }
      return undefined
    },
  })
  await assert.rejects(
    egress.fetch(request('http://Worker.Example./x', stranger)),
    (error: { code: string; row: { number?: number } }) => {
      assert.equal(error.code, 'program_loop')
      assert.equal(error.row.number, 1042)
      return true
    },
  )
  const answer = await egress.fetch(request('https://www.example/app?q=1', stranger))
  assert.equal(await textOf(answer.body), 'reached')
  assert.deepEqual(seen, ['www.example/app?q=1'])
  await egress.close()
})

test("a site's origin may be private", async () => {
  const egress = openEgress()
  const answer = await egress.fetch(request(`http://localhost:${port}/`, { by: { site: 'shop' } }))
  assert.equal(answer.status, 200)
  await egress.close()
})

test('a rule for one address of loopback is enough for localhost', async () => {
  const egress = openEgress({
    rules: { grants: (_by, { address }) => (address === '127.0.0.1' ? [{ names: 'address', port: true }] : []) },
  })
  assert.equal((await egress.fetch(request(`http://localhost:${port}/`, stranger))).status, 200)
  await assert.rejects(egress.fetch(request(`http://[::1]:${port}/`, stranger)), { code: 'egress_refused' })
  await egress.close()
})

test('a request that went round too often is a loop', async () => {
  const egress = openEgress({ limits: { egressHops: 3 } })
  const url = `http://127.0.0.1:${port}/`
  const twice = await egress.fetch(
    request(url, { headers: ['CDN-Loop', 'rimward; a=1, other', 'cdn-loop', 'rimward'] }),
  )
  assert.equal(twice.status, 200)
  const thrice = egress.fetch(request(url, { headers: ['cdn-loop', 'rimward, rimward, rimward'] }))
  await assert.rejects(thrice, { code: 'program_loop' })
  const bySite = request(url, { by: { site: 's' }, headers: ['cdn-loop', 'rimward, rimward, rimward'] })
  await assert.rejects(egress.fetch(bySite), { code: 'origin_failed', message: /circle/ })
  await egress.close()
})

test('CONNECT does not leave', async () => {
  const egress = openEgress()
  await assert.rejects(egress.fetch(request('http://127.0.0.1/', { method: 'CONNECT' })), {
    code: 'method_not_allowed',
  })
  await egress.close()
})
