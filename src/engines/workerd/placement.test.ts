import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import { pickPlace, placeProgram } from './placement.ts'

const code = { syntax: 'modules', mainModule: 'm', modules: [], compatibilityDate: '', compatibilityFlags: [] } as const
const plain: Deployment = { id: 'd', program: 'p', number: 1, createdAt: 0, code, bindings: [], limits: {} }
const program: Program = { name: 'p', rollout: [], objects: [] }

const rows: [string, Partial<Program>, Partial<Deployment>, string][] = [
  ['plain modules', {}, {}, 'shared'],
  ['objects of its own', { objects: [{ className: 'C', key: 'k', storage: 'sqlite' }] }, {}, 'objects'],
  ['objects of another', {}, { bindings: [{ kind: 'objects', name: 'O', className: 'C', program: 'q' }] }, 'objects'],
  ['service-worker syntax', {}, { code: { ...code, syntax: 'script' } }, 'script'],
  ['much processor time', {}, { limits: { cpuMs: 30_000 } }, 'cpu-limit'],
  ['a long start', {}, { startupMs: 400 }, 'slow-start'],
  ['a short start', {}, { startupMs: 60 }, 'shared'],
  ['an import of cloudflare:email', {}, { usesEmail: true }, 'native'],
  ['little processor time', {}, { limits: { cpuMs: 50 } }, 'shared'],
]
for (const [what, ofProgram, ofDeployment, expected] of rows)
  test(`placed: ${what}`, () => {
    const place = placeProgram({ ...program, ...ofProgram }, { ...plain, ...ofDeployment }, defaultLimits)
    assert.equal(place.kind === 'shared' ? 'shared' : place.why, expected)
  })

test('a seat more moves only its share of the programs', () => {
  const keys = Array.from({ length: 400 }, (_, index) => `program ${index}`)
  const seats = [0, 1, 2, 3].map((seat) => ({ seat }))
  const moved = keys.filter((key) => pickPlace(key, seats)!.seat !== pickPlace(key, seats.slice(0, 3))!.seat)
  assert.ok(moved.every((key) => pickPlace(key, seats)!.seat === 3))
  assert.ok(moved.length > 60 && moved.length < 140, String(moved.length))
  assert.equal(pickPlace('p', []), undefined)
})
