import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { bodyText, openStage } from './engine-stage.ts'
import { isDue, nextMembers } from './group.ts'
import { until } from './own-cells-for-tests.ts'
import { openOwnEngine } from './own-engine.ts'
import { talkTo, upgradeTo } from './web-sockets-for-tests.ts'

test('members stay while they are wanted, newcomers take the places that are left', () => {
  assert.deepEqual(nextMembers(new Set(['b', 'gone']), ['a', 'b', 'c'], 2), ['b', 'a'])
})

const limits = { ...defaultLimits, groupPauseMs: 10, groupKeptMs: 100 }
const due: [string, string[], number, string[], boolean][] = [
  ['newcomers after the pause', ['a'], 10, ['a', 'b'], true],
  ['newcomers wait for the pause', ['a'], 9, ['a', 'b'], false],
  ['the same members', ['a', 'b'], 1000, ['b', 'a'], false],
  ['somebody may leave', ['a', 'b'], 100, ['a'], true],
  ['but not at once', ['a', 'b'], 99, ['a'], false],
]
for (const [what, members, ageMs, next, expected] of due)
  test(`a new group: ${what}`, () => {
    assert.equal(isDue({ members: new Set(members), ageMs }, next, limits), expected)
  })

const fast = { cells: 1, spareCells: 0, groupRate: 1, groupSeconds: 1, groupPauseMs: 0, programCpuMs: 200 }
const stage = await openStage(fast, { ownCells: openOwnEngine })
after(() => stage.close())

/** Its process tells where it runs: the loader's isolates have one of our classes among the exports. */
const source = `
let asked = 0
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (pathname === '/throw') throw new Error('mine')
    if (pathname === '/loop') for (;;) asked++
    if (pathname === '/slow') { await scheduler.wait(1500); return new Response('slow') }
    if (request.headers.get('upgrade') !== null) {
      const [client, server] = Object.values(new WebSocketPair())
      server.accept()
      server.addEventListener('message', ({ data }) => server.send('heard ' + data))
      return new Response(null, { status: 101, webSocket: client })
    }
    return new Response(env.NAME + ' ' + ++asked + ' ' + request.cf.colo + ' ' + [...request.headers.keys()])
  },
}`
const program = (name: string) => ({
  name,
  modules: { 'main.js': source },
  bindings: [{ kind: 'text', name: 'NAME', text: name }] as const,
})
const ask = async (name: string, path = '/') => bodyText(await stage.fetch(name, path))

/** Asks until it counts from 1 again: it runs somewhere else. */
async function movedFrom(name: string): Promise<void> {
  let before = Number((await ask(name)).split(' ')[1])
  await until(async () => {
    const asked = Number((await ask(name)).split(' ')[1])
    const moved = asked < before
    before = asked
    return moved
  })
}

test('programs that are asked again move into a group, and its hang harms only who hangs', async () => {
  await stage.add(program('ann'))
  await stage.add(program('bob'))
  await Promise.all([movedFrom('ann'), movedFrom('bob')])
  assert.match(await ask('ann'), /^ann \d+ TST host$/)
  assert.match(await ask('bob'), /^bob \d+ TST host$/)

  const socket = talkTo(await stage.fetch('ann', '/socket', upgradeTo('/socket')))
  socket.send('hi')
  assert.equal(await socket.next(), 'heard hi')

  const slow = ask('bob', '/slow')
  await assert.rejects(ask('ann', '/loop'), { code: 'program_exceeded_limits' })
  assert.equal(await slow, 'slow')
  assert.match(await ask('bob'), /^bob /)
  assert.ok(stage.logged.some((line) => line.startsWith('group lost')))
})

test('an exception is told without words from the group, and with them from then on', async () => {
  await stage.add(program('cid'))
  await movedFrom('cid')
  await assert.rejects(ask('cid', '/throw'), { code: 'program_exception' })
  await assert.rejects(ask('cid', '/throw'), (error: Error) => /mine/.test(String(error.cause)))
})
