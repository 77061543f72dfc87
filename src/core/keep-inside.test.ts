import assert from 'node:assert/strict'
import { test } from 'node:test'
import { keepEgressInside, keepEngineInside, onlyHere } from './keep-inside.ts'
import type { Engine, ProgramRequest } from './ports.ts'
import type { Deployment, Program, Snapshot } from './snapshot.ts'

const deployment: Deployment = { id: 'd', program: 'chat', number: 1, createdAt: 0, bindings: [], limits: {} }
const chat: Program = { name: 'chat', rollout: [], objects: [], within: ['DE'] }
const free: Program = { name: 'free', rollout: [], objects: [] }
const snapshot: Snapshot = {
  revision: 1,
  sites: [{ name: 'shop', hostnames: [], routes: [], target: { kind: 'origin', url: 'http://a' }, within: ['DE'] }],
  programs: new Map([
    ['chat', chat],
    ['free', free],
  ]),
  placements: new Map(),
}

function anEngine() {
  const calls: string[] = []
  const engine: Engine = {
    prove: async () => ({ ok: true, exports: [], startupMs: 0 }),
    adopt: async ({ programs }) => void calls.push(`adopt ${[...programs.keys()]}`),
    run: async ({ name }) => {
      calls.push(`run ${name}`)
      return { status: 200, headers: [], body: null, start: 'warm' }
    },
    deliver: async ({ name }) => {
      calls.push(`deliver ${name}`)
      return { end: 'ok' }
    },
    warm: ({ name }) => void calls.push(`warm ${name}`),
    forget: async () => {},
    close: async () => {},
  }
  return { engine, calls }
}

test('an engine outside runs, warms and makes ready nothing of what may not be there', async () => {
  for (const [country, expected] of [
    ['DE', ['adopt chat,free', 'warm chat', 'run chat', 'deliver chat', 'run free']],
    ['US', ['adopt free', 'run free']],
  ] as const) {
    const { engine, calls } = anEngine()
    const inside = keepEngineInside(engine, country)
    await inside.adopt(snapshot)
    inside.warm(chat, deployment)
    const ran = inside.run(chat, deployment, {} as ProgramRequest)
    if (country === 'DE') await ran
    else await assert.rejects(ran, { code: 'not_here' })
    const delivered = inside.deliver(chat, deployment, { kind: 'tail', traces: [] })
    if (country === 'DE') await delivered
    else await assert.rejects(delivered, { code: 'not_here' })
    await inside.run(free, deployment, {} as ProgramRequest)
    assert.deepEqual(calls, expected)
  }
})

test('nothing is fetched, so nothing stored, for what may not be there', async () => {
  const request = { method: 'GET', url: 'http://a/', headers: [], body: null, wantsUpgrade: false }
  const signal = new AbortController().signal
  const next = { fetch: async () => ({ status: 200, headers: [], body: null }), close: async () => {} }
  const fetchAt = (country: string, by: { site: string } | { program: string }) =>
    keepEgressInside(next, () => snapshot, country).fetch({ ...request, signal, by })
  await fetchAt('DE', { site: 'shop' })
  await fetchAt('US', { program: 'free' })
  await assert.rejects(fetchAt('US', { site: 'shop' }), { code: 'not_here' })
  await assert.rejects(fetchAt('US', { program: 'chat' }), { code: 'not_here' })
})

test('where all may be, the Snapshot stays the same object', () => {
  assert.equal(onlyHere(snapshot, 'DE'), snapshot)
  assert.equal(onlyHere(snapshot, 'US').sites.length, 0)
})
