import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { ScheduledEvent } from '#/core/program-events.ts'
import { type Resource, resourceKey } from '#/core/resources.ts'
import type { Program, Snapshot } from '#/core/snapshot.ts'
import { runSchedules } from './schedules.ts'

/** Time by hand. */
function createTime(start: number) {
  let now = start
  const waiting = new Set<{ due: number; end: () => void }>()
  const rest = async () => {
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    now: () => now,
    wait: (ms: number, signal: AbortSignal) =>
      new Promise<void>((resolve) => {
        const one = { due: now + ms, end: resolve }
        waiting.add(one)
        signal.addEventListener('abort', () => resolve())
        if (signal.aborted) resolve()
      }),
    async to(later: number, step = 1000) {
      await rest()
      while (now < later) {
        now = Math.min(now + step, later)
        for (const one of [...waiting])
          if (one.due <= now) {
            waiting.delete(one)
            one.end()
          }
        await rest()
      }
    },
  }
}

const rollout = [
  { percent: 100, deployment: { id: 'd', program: 'p', number: 1, createdAt: 0, bindings: [], limits: {} } },
]
const program = (name: string, crons: readonly string[], more: Partial<Program> = {}): [string, Program] => [
  name,
  { name, objects: [], rollout, crons, ...more },
]
const programs = new Map([
  program('often', ['* * * * *']),
  program('fifth', ['*/5 * * * *', '1 * * * *']),
  program('empty', ['* * * * *'], { rollout: [] }),
])
const resource = (kind: Resource['kind'], id: string, settings: object): [string, Resource] => [
  resourceKey(kind, id),
  { kind, id, name: id, createdAt: 1, modifiedAt: 1, settings: { ...settings } },
]
const resources = new Map([
  resource('workflow', 'flow', { crons: ['5 12 * * *', '3 * * * *'] }),
  resource('workflow', 'asked', {}),
  resource('queue', 'queue', { crons: ['* * * * *'] }),
])
const snapshot: Snapshot = { revision: 1, sites: [], programs, resources }
const noon = Date.UTC(2026, 0, 1, 12)

function stage(start: number) {
  const time = createTime(start)
  const fabric = createMemoryFabric(time.now)
  const told: string[] = []
  const logged: string[] = []
  const node = (name: string, deliver?: (program: string, event: ScheduledEvent) => Promise<never>) =>
    runSchedules({
      fabric,
      snapshot: () => snapshot,
      async deliver(program, event) {
        await deliver?.(program, event)
        told.push(`${name} ${program} ${event.cron} ${new Date(event.scheduledTime).toISOString().slice(11, 16)}`)
        return { end: 'ok' }
      },
      async startWorkflow(workflow, { cron, scheduledTime }, index) {
        told.push(`${name} ${workflow} ${index} ${cron} ${new Date(scheduledTime).toISOString().slice(11, 16)}`)
      },
      clock: time.now,
      monotonic: time.now,
      wait: time.wait,
      limits: { runOnceLeaseMs: 10_000, scheduleLateMs: 30_000, schedulesAtOnce: 2 },
      log: (message, { err }: { err?: unknown }) =>
        void logged.push(`${message}${err === undefined ? '' : `: ${err}`}`),
    })
  return { time, fabric, told, logged, node }
}

test('each minute is told once, whatever nodes there are, and goes on where one ends', async () => {
  const { time, told, node } = stage(noon - 25_000)
  const stops = [node('fra'), node('iad')]
  await time.to(noon + 61_000)
  assert.deepEqual(told, [
    'fra often * * * * * 12:00',
    'fra fifth */5 * * * * 12:00',
    'fra often * * * * * 12:01',
    'fra fifth 1 * * * * 12:01',
  ])
  const stopped = stops[0]!()
  await time.to(noon + 121_000)
  await stopped
  assert.deepEqual(told.slice(4), ['iad often * * * * * 12:02'])
  const all = stops[1]!()
  await time.to(noon + 125_000)
  await all
})

test('an instance of a workflow is made for each of its schedules', async () => {
  const { time, told, node } = stage(noon + 150_000)
  const stop = node('fra')
  await time.to(noon + 301_000)
  assert.deepEqual(
    told.filter((one) => one.includes('flow')),
    ['fra flow 1 3 * * * * 12:03', 'fra flow 0 5 12 * * * 12:05'],
  )
  const stopped = stop()
  await time.to(noon + 305_000)
  await stopped
})

test('a minute that is late is missed, and so is one that somebody claimed', async () => {
  const { time, told, node, fabric } = stage(noon + 31_000)
  const stop = node('fra')
  await time.to(noon + 59_000)
  assert.deepEqual(told, [])
  await fabric.bucket('schedules').put('minute', Buffer.from(String(noon + 60_000)))
  await time.to(noon + 121_000)
  assert.deepEqual(told, ['fra often * * * * * 12:02'])
  const stopped = stop()
  await time.to(noon + 125_000)
  await stopped
})

test('a failure is logged and not repeated; those that never end are bounded', async () => {
  const { time, told, node, logged } = stage(noon - 1000)
  const stop = node('fra', (name) => (name === 'often' ? new Promise(() => {}) : Promise.reject(new Error('broken'))))
  await time.to(noon + 121_000)
  assert.deepEqual(told, [])
  assert.deepEqual(logged, [
    'a schedule is missed: Error: broken',
    'a schedule is missed: too many are under way',
    'a schedule is missed: too many are under way',
  ])
  const stopped = stop()
  await time.to(noon + 125_000)
  await stopped
})
