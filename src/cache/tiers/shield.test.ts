import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import type { Place } from '#/core/pops.ts'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { headerValue } from '#/http/header-list.ts'
import { chooseShield } from './choose-shield.ts'
import { createTiers, textOf } from './tiers.fixture.ts'

const fra: Place = { node: 'fra', pop: 'fra', country: 'DE' }
const nrt: Place = { node: 'nrt', pop: 'nrt', country: 'JP' }
const iad1: Place = { node: 'iad-1', pop: 'iad', country: 'US' }
const iad2: Place = { node: 'iad-2', pop: 'iad', country: 'US' }

function answering(headers: string[], body = 'page', status = 200) {
  const asked: EgressRequest[] = []
  return {
    asked,
    async fetch(request: EgressRequest): Promise<EgressAnswer> {
      asked.push(request)
      const bytes = Buffer.from(body)
      return { status, headers: [...headers, 'content-length', String(bytes.length)], body: bytes }
    },
  }
}

const tierOf = ({ tier }: EgressAnswer) => tier && `${tier.kind} ${tier.pop}`

test('one fetch for all points of presence, whoever of the shield is asked', async (t) => {
  const origin = answering(['cache-control', 'max-age=60', 'age', '20'])
  const { nodes } = await createTiers(t, { places: [fra, nrt, iad1, iad2], origin: origin.fetch })
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  for (const path of ['/a', '/b', '/c', '/d']) {
    const before = origin.asked.length
    const answers = await Promise.all(nodes.map(({ get }) => get(path)))
    assert.equal(origin.asked.length, before + 1, path)
    assert.deepEqual(await Promise.all(answers.map(textOf)), ['page', 'page', 'page', 'page'])
    assert.equal(tierOf(answers[0]!), 'answered iad')
    assert.ok(answers.every(({ headers }) => /^2[01]$/.test(headerValue(headers, 'age') ?? '20')))
  }
  assert.ok(origin.asked.every(({ shield, forTier }) => shield === undefined || forTier === undefined))
})

test('the shield away: straight to the origin, and it is said; its own failures are not retried', async (t) => {
  let failure: EdgeError | undefined
  const origin = answering(['cache-control', 'no-store'])
  const { meshes, nodes } = await createTiers(t, {
    places: [fra, iad1],
    async origin(request) {
      if (failure !== undefined) {
        origin.asked.push(request)
        throw failure
      }
      return origin.fetch(request)
    },
  })
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  const { get } = nodes[0]!
  assert.equal(tierOf(await get('/a')), 'answered iad')
  failure = new EdgeError('origin_refused', 'closed')
  origin.asked.length = 0
  await assert.rejects(get('/b'), { code: 'origin_refused' })
  assert.equal(origin.asked.length, 1)
  failure = undefined
  meshes.cut('fra', 'iad-1')
  assert.equal(tierOf(await get('/c')), 'away iad')
  meshes.heal('fra', 'iad-1')
  assert.equal(tierOf(await get('/c')), 'answered iad')
})

test('a link that breaks in the middle: what changes nothing is asked again, what may have is not', async (t) => {
  const began = Promise.withResolvers<void>()
  const hold = Promise.withResolvers<void>()
  let asked = 0
  const { meshes, nodes } = await createTiers(t, {
    places: [fra, iad1],
    async origin() {
      asked++
      if (asked % 2 === 1) {
        began.resolve()
        await hold.promise
      }
      return { status: 200, headers: ['cache-control', 'no-store'], body: Buffer.from('done') }
    },
  })
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  const { get } = nodes[0]!
  const reading = get('/a')
  await began.promise
  meshes.cut('fra', 'iad-1')
  assert.equal(await textOf(await reading), 'done')
  assert.equal(asked, 2)
  meshes.heal('fra', 'iad-1')
  const changing = get('/a', { method: 'POST', body: Buffer.from('x') })
  const refused = assert.rejects(changing, { code: 'peer_away' })
  while (asked < 3) await new Promise((resolve) => setImmediate(resolve))
  meshes.cut('fra', 'iad-1')
  await refused
  assert.equal(asked, 3)
  hold.resolve()
})

test('between tiers: tags and Surrogate-Control stay, clients see none; 304s, ranges, bodies, cookies', async (t) => {
  const origin = answering([
    'surrogate-control',
    'max-age=60',
    'cache-control',
    'no-store',
    'surrogate-key',
    'k',
    'etag',
    '"1"',
  ])
  const { nodes } = await createTiers(t, { places: [fra, iad1], origin: origin.fetch })
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  const [edge, shield] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
  const first = await edge.get('/a')
  assert.equal(headerValue(first.headers, 'surrogate-key'), undefined)
  assert.match(first.cacheStatus!, /ttl=(60|59); stored/)
  await edge.purges.purge([{ scope: 'shop', soft: false, what: { kind: 'tag', tag: 'k' } }])
  assert.equal((await shield.get('/a')).cacheOutcome, 'miss')
  assert.equal((await edge.get('/a')).cacheOutcome, 'miss', 'the tag came along')
  assert.equal(origin.asked.length, 2, 'the shield had it')

  // Stale here and fresh there: validated between the tiers.
  await edge.purges.purge([{ scope: 'shop', soft: true, what: { kind: 'tag', tag: 'k' } }])
  await textOf(await shield.get('/a'))
  const asked = origin.asked.length
  const validated = await edge.get('/a')
  assert.equal(validated.cacheOutcome, 'revalidated')
  assert.equal(origin.asked.length, asked)
  const part = await edge.get('/cold', { headers: ['range', 'bytes=1-2'] })
  assert.equal(await textOf(part), 'ag')
  const body = Readable.from([Buffer.from('one '), Buffer.from('two')])
  await edge.get('/post', { method: 'POST', body })
  assert.equal(await textOf({ status: 200, headers: [], body: origin.asked.at(-1)!.body }), 'one two')
})

test('what the shield has only stale is passed on, and kept nowhere', async (t) => {
  let down = false
  const origin = answering(['cache-control', 'max-age=60, stale-if-error=600', 'surrogate-key', 'k'])
  const { nodes } = await createTiers(t, {
    places: [fra, iad1],
    async origin(request) {
      if (down) throw new EdgeError('origin_refused', 'closed')
      return origin.fetch(request)
    },
  })
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  const [edge, shield] = nodes as [(typeof nodes)[0], (typeof nodes)[0]]
  await textOf(await shield.get('/a'))
  await edge.purges.purge([{ scope: 'shop', soft: true, what: { kind: 'tag', tag: 'k' } }])
  down = true
  const stale = await edge.get('/a')
  assert.equal(await textOf(stale), 'page')
  assert.equal(stale.stale, true)
  down = false
  const fresh = await edge.get('/a')
  assert.equal(fresh.cacheOutcome, 'miss')
  assert.match(fresh.cacheStatus!, /stored/)
})

test('bodies stream: the first byte passes before the last is there', async (t) => {
  const source = new Readable({ read() {} })
  const { nodes } = await createTiers(t, {
    places: [fra, iad1],
    origin: async () => ({ status: 200, headers: ['cache-control', 'max-age=60'], body: source }),
  })
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  source.push('first')
  const answer = await nodes[0]!.get('/a')
  const body = answer.body as Readable
  const [chunk] = (await once(body, 'data')) as [Buffer]
  assert.equal(chunk.toString(), 'first')
  source.destroy(new Error('cut'))
  await assert.rejects(textOf({ ...answer, body }))
  assert.equal((await nodes[0]!.purges.standing()).state, 'ready')
})

test('countries: a shield outside is not asked, and does not answer', async (t) => {
  const origin = answering(['cache-control', 'max-age=60'])
  const { nodes } = await createTiers(t, { places: [fra, iad1], origin: origin.fetch, site: { within: ['DE', 'FR'] } })
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  assert.equal(tierOf(await nodes[0]!.get('/a')), 'away iad')
})

test('rendezvous: a node that goes moves only its own keys', () => {
  const peers = (...nodes: string[]) =>
    nodes.map((node) => ({ node, pop: 'iad', country: 'US', version: '0', startedAt: 0, since: 0, reachable: true }))
  const keys = Array.from({ length: 300 }, (_, index) => `k${index}`)
  const of = (nodes: string[]) => keys.map((key) => chooseShield('iad', key, fra, peers(...nodes), undefined))
  const [all, fewer] = [of(['a', 'b', 'c']), of(['a', 'c'])]
  for (const node of ['a', 'b', 'c']) assert.ok(all.filter((one) => one === node).length > 60, node)
  for (const [index, node] of all.entries()) if (node !== 'b') assert.equal(fewer[index], node)
  assert.equal(chooseShield('iad', 'k', fra, [], undefined), undefined)
  assert.equal(chooseShield('fra', 'k', fra, peers('a'), undefined), 'fra')
})
