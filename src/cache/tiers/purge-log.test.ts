import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { defaultLimits } from '#/core/limits.ts'
import { createMemoryMeshes } from '#/core/memory-mesh.ts'
import { createPlatformPurges } from './platform-purges.ts'
import { openPurgeLog, type PurgeLog } from './purge-log.ts'

const tag = (name: string): PurgeWish => ({ soft: false, what: { kind: 'tag', tag: name } })
const done = Promise.resolve()
const never = new Promise<never>(() => {})

async function folderFor(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rimward-purge-log-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

const open = (folder: string, limits = defaultLimits) => openPurgeLog({ folder, node: 'fra', clock: Date.now, limits })
const purge = (log: PurgeLog, name: string, journaled: Promise<unknown>) =>
  log.write([log.number([tag(name)], Date.now()).line], journaled)
const tags = ({ unfinished }: PurgeLog) => unfinished.map(({ what }) => (what.kind === 'tag' ? what.tag : what.kind))

test('what the journal was not known to have is open after a crash, and stays so until it is journaled', async (t) => {
  const folder = await folderFor(t)
  const killed = await open(folder)
  await purge(killed, 'a', done)
  await purge(killed, 'b', never)
  // The journal takes them in order: what it says of a later one counts behind those before.
  await purge(killed, 'c', done)
  const second = await open(folder)
  assert.deepEqual(tags(second), ['b', 'c'])
  assert.equal(second.last(killed.self), 3)
  // Killed again, before it was made up for; a purge of its own came meanwhile.
  const late = Promise.withResolvers<void>()
  void second.write([], late.promise)
  await purge(second, 'd', never)
  const third = await open(folder)
  assert.deepEqual(tags(third), ['b', 'c', 'd'])
  await third.write([], done)
  await third.close()
  const fourth = await open(folder)
  assert.deepEqual(tags(fourth), [])
  assert.equal(fourth.last(killed.self), 4)
  await purge(fourth, 'e', done)
  await fourth.close()
  await Promise.all([killed.close(), second.close()])
})

test('what the journal refused stays open, also over files that would have gone', async (t) => {
  const folder = await folderFor(t)
  const small = { ...defaultLimits, purgeLogEntries: 2, purgeLogBytes: 400 }
  const killed = await open(folder, small)
  await purge(killed, 'a', done)
  await purge(killed, 'refused', Promise.reject(new Error('no space')))
  for (let count = 0; count < 20; count++) await purge(killed, `b${count}`, done)
  await killed.close()
  const after = await open(folder, small)
  assert.deepEqual(tags(after).slice(0, 2), ['refused', 'b0'])
  await after.write([], done)
  await after.close()
  const last = await open(folder, small)
  assert.deepEqual(tags(last), [])
  await last.close()
})

test('a jump that the journal has not heard of purges everything after a crash', async (t) => {
  const folder = await folderFor(t)
  const killed = await open(folder)
  await killed.write([killed.jump({ 'iad~1': 7 })], never)
  const after = await open(folder)
  assert.deepEqual(tags(after), ['everything'])
  assert.equal(after.last('iad~1'), 7)
  await Promise.all([killed.close(), after.close()])
})

test('a node that is killed between its log and its journal purges again before it serves', async (t) => {
  const folder = await folderFor(t)
  const purged: string[] = []
  const start = async (journaled: () => Promise<void>) => {
    const mesh = createMemoryMeshes().join({ node: 'fra', pop: 'fra', country: 'DE' })
    const purge = (wishes: readonly PurgeWish[]) => {
      purged.push(...wishes.map(({ what }) => (what.kind === 'tag' ? what.tag : what.kind)))
      return journaled()
    }
    return createPlatformPurges({
      ...{ mesh, cache: { purge }, folder, clock: Date.now, limits: defaultLimits, log: () => {} },
    })
  }
  const first = await start(async () => {})
  await first.purge([tag('a')])
  await first.close()
  let takesLonger = async () => {}
  const killed = await start(() => takesLonger())
  takesLonger = () => never
  void killed.purge([tag('b')])
  // Its own line is on disk once one behind it is.
  let after: PurgeLog
  do {
    after = await open(folder)
    await after.close()
  } while (after.last(after.self) < 2)
  purged.splice(0)
  const again = await start(async () => {})
  assert.deepEqual(purged, ['b'])
  await again.close()
  purged.splice(0)
  await (await start(async () => {})).close()
  assert.deepEqual(purged, [])
})
