/**
 * Purges are exact over two tiers: whatever overlaps with whatever, no answer is older than a purge that this node acknowledged
 * before the request began; and once nodes that were cut off say that they are ready, than any purge.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import type { Place } from '#/core/pops.ts'
import type { EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { headerValue } from '#/http/header-list.ts'
import { createTiers, textOf } from './tiers.fixture.ts'

const places: Place[] = [
  { node: 'fra', pop: 'fra', country: 'DE' },
  { node: 'nrt', pop: 'nrt', country: 'JP' },
  { node: 'iad', pop: 'iad', country: 'US' },
]

/** Seeded, so that a failure can be had again (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

const seed = Number(process.env.RIMWARD_SEED ?? Date.now() % 1e9)
const random = randomFrom(seed)
const moment = (most: number) => {
  const ms = Math.floor(random() * (most + 1))
  return ms === 0 ? Promise.resolve() : wait(ms)
}

/** The page of each path is a number, which goes up when it is published. */
function createOrigin() {
  const pages = new Map<string, number>()
  const versionOf = (path: string) => pages.get(path) ?? 1
  return {
    versionOf,
    publish: (path: string) => pages.set(path, versionOf(path) + 1),
    async fetch({ url, headers }: EgressRequest): Promise<EgressAnswer> {
      const path = new URL(url).pathname
      await moment(3)
      const tag = `"${versionOf(path)}"`
      const body = Buffer.from(String(versionOf(path)))
      await moment(3)
      const said = ['cache-control', 'max-age=1000', 'etag', tag, 'surrogate-key', path.slice(1)]
      if (headerValue(headers, 'if-none-match') === tag) return { status: 304, headers: said, body: null }
      return { status: 200, headers: [...said, 'content-length', String(body.length)], body }
    },
  }
}

interface Acknowledged {
  readonly version: number
  readonly nodes: readonly string[]
}

/** Of a hundred interleavings each; `RIMWARD_ROUNDS` asks for more. */
const rounds = Number(process.env.RIMWARD_ROUNDS ?? 6)

test('interleavings of purges and requests, with and without cuts', { timeout: 240_000 }, async (t) => {
  t.diagnostic(`RIMWARD_SEED=${seed}`)
  const origin = createOrigin()
  const { meshes, nodes } = await createTiers(t, { places, origin: origin.fetch })
  meshes.delay = () => moment(4)
  await Promise.all(nodes.map(({ purges }) => purges.ready))
  let answers = 0

  async function interleave(path: string): Promise<void> {
    const acknowledged: Acknowledged[] = []
    const nodeAtRandom = () => nodes[Math.floor(random() * nodes.length)]!
    async function read(): Promise<void> {
      await moment(12)
      const { get, place } = nodeAtRandom()
      const owed = acknowledged.filter((one) => one.nodes.includes(place.node)).map(({ version }) => version)
      const text = await textOf(await get(path))
      answers++
      const least = Math.max(1, ...owed)
      assert.ok(Number(text) >= least, `${place.node} ${path}: ${text} after the purge of ${least} was acknowledged`)
    }
    async function purge(): Promise<void> {
      await moment(12)
      origin.publish(path)
      const version = origin.versionOf(path)
      const soft = random() < 0.3
      const what = { kind: 'tag' as const, tag: path.slice(1) }
      const receipt = await nodeAtRandom().purges.purge([{ scope: 'shop', soft, what }])
      acknowledged.push({ version, nodes: receipt.acknowledged.map(({ node }) => node) })
    }
    await Promise.all([...Array.from({ length: 7 }, read), purge(), purge()])
  }

  async function cutAndHeal(): Promise<void> {
    const [one, other] = [places[0]!, places[1]!, places[2]!].toSorted(() => random() - 0.5)
    await moment(5)
    meshes.cut(one!.node, other!.node)
    await moment(10)
    meshes.heal(one!.node, other!.node)
  }

  for (let round = 0; round < rounds; round++) {
    const paths = Array.from({ length: 100 }, (_, index) => `/r${round}-${index}`)
    await Promise.all([...paths.map(interleave), ...(round % 2 === 1 ? [cutAndHeal()] : [])])
    while (nodes.some(({ purges }) => purges.standing().state !== 'ready')) await wait(5)
    for (const { get, place } of nodes)
      for (const path of paths.slice(0, 20))
        assert.equal(await textOf(await get(path)), String(origin.versionOf(path)), `${place.node} ${path} at the end`)
  }
  assert.ok(answers === rounds * 700)
})
