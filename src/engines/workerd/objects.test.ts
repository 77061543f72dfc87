import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import type { ObjectNamespace } from '#/core/snapshot.ts'
import { get, openPlace, programOf, textOf, until } from './own-cells-for-tests.ts'
import { makeDeployment } from './programs-for-tests.ts'

const place = await openPlace()
after(() => place.end())

const source = (className = 'Counter', version = 1) => `
import { DurableObject } from 'cloudflare:workers'
export class ${className} extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env)
    ctx.blockConcurrencyWhile(async () => { await scheduler.wait(5); this.ready = true })
    if (ctx.storage.sql) ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS visits (at INTEGER)')
  }
  add() { if (!this.ready) throw new Error('not ready'); this.ctx.storage.sql.exec('INSERT INTO visits VALUES (?)', Date.now()); return this.ctx.storage.sql.exec('SELECT count(*) AS n FROM visits').one().n }
  async put(n) { await this.ctx.storage.put('n', n); return n }
  async arm(ms) { await this.ctx.storage.setAlarm(Date.now() + ms) }
  async alarm() { await this.ctx.storage.put('rang', Date.now()) }
  rang() { return this.ctx.storage.get('rang') }
  fetch() { return new Response('fetched ' + this.ctx.id.name) }
}
export class Old extends DurableObject {
  async bump() { const n = ((await this.ctx.storage.get('n')) ?? 0) + 1; await this.ctx.storage.put('n', n); let sql = 'yes'; try { this.ctx.storage.sql.exec('SELECT 1') } catch { sql = 'no' }; return n + sql }
}
export default {
  async fetch(request, env) {
    const { pathname, searchParams } = new URL(request.url)
    const one = env.COUNTER.getByName('one')
    if (pathname === '/version') return new Response('${version}')
    if (pathname === '/ids') {
      const named = env.COUNTER.idFromName('one'), fresh = env.COUNTER.newUniqueId()
      return Response.json([named.equals(env.COUNTER.idFromString(named.toString())), await env.COUNTER.get(fresh).add(), await (await env.COUNTER.get(named).fetch('http://x')).text()])
    }
    if (pathname === '/old') return new Response(await env.OLD.getByName('a').bump())
    if (pathname === '/slow') { await scheduler.wait(50); return new Response(String(await one.add())) }
    if (pathname === '/arm') return new Response(await one.arm(Number(searchParams.get('ms'))))
    if (pathname === '/rang') return new Response(await one.rang())
    return new Response(String(await one[pathname.slice(1)]()))
  },
}`
const counter = (key: string): ObjectNamespace => ({ className: 'Counter', key, storage: 'sqlite' })
const old: ObjectNamespace = { className: 'Old', key: 'old-key', storage: 'kv' }
const bindings = [
  { kind: 'objects', name: 'COUNTER', className: 'Counter' },
  { kind: 'objects', name: 'OLD', className: 'Old' },
] as const

function version(number: number, program = 'shop') {
  return makeDeployment({ program, number, modules: { 'main.js': source('Counter', number) }, bindings })
}

test('objects keep what they stored, through SIGKILL and through a rename of their class', async () => {
  const cells = place.open()
  const first = version(1)
  const program = programOf([first], [counter('k1'), old])
  const ask = (path: string) => textOf(cells.run(program, first, get(path)))
  assert.equal(await ask('/add'), '1')
  assert.equal(await ask('/ids'), '[true,1,"fetched one"]')
  assert.equal(await ask('/old'), '1no')
  process.kill(cells.pids()[0]!, 'SIGKILL')
  assert.equal(await ask('/add'), '2')
  assert.equal(await ask('/old'), '2no')

  const renamed = makeDeployment({
    modules: { 'main.js': source('Tally') },
    bindings: [{ kind: 'objects', name: 'COUNTER', className: 'Tally' }],
  })
  const after = programOf([renamed], [{ className: 'Tally', key: 'k1', storage: 'sqlite' }])
  await cells.adopt({ revision: 2, sites: [], programs: new Map([['shop', after]]) })
  assert.equal(await textOf(cells.run(after, renamed, get('/add'))), '3')

  await assert.rejects(cells.forget([counter('k1')]), { code: 'internal' })
  assert.ok(existsSync(join(place.folder, 'objects', 'old-key')))
  await cells.forget([old])
  assert.ok(!existsSync(join(place.folder, 'objects', 'old-key')))
  await cells.close()
})

test('all versions of a rollout share the objects', async () => {
  const cells = place.open()
  const [one, two] = [version(1, 'both'), version(2, 'both')]
  const program = programOf([one, two], [counter('k2'), old])
  assert.equal(await textOf(cells.run(program, one, get('/version'))), '1')
  assert.equal(await textOf(cells.run(program, two, get('/version'))), '2')
  assert.equal(await textOf(cells.run(program, one, get('/add'))), '1')
  assert.equal(await textOf(cells.run(program, two, get('/add'))), '2')
  assert.equal(cells.pids().length, 1)
  await cells.close()
})

test('alarms ring: at once, after an idle stop, and after everything was killed', async () => {
  const limits = { ownCellIdleMs: 100 }
  let cells = place.open(limits)
  const deployment = version(1, 'bell')
  const program = programOf([deployment], [counter('k3'), old])
  const snapshot = { revision: 1, sites: [], programs: new Map([['bell', program]]) }
  const ask = (path: string) => textOf(cells.run(program, deployment, get(path)))
  await ask('/arm?ms=20')
  await until(async () => (await ask('/rang')) !== '')
  const rangFirst = await ask('/rang')

  const due = Date.now() + 1500
  await ask('/arm?ms=1500')
  await until(() => cells.pids().length === 0)
  assert.ok(Date.now() < due, 'the idle process ended before the alarm')
  await until(() => cells.pids().length === 1)
  await until(async () => (await ask('/rang')) !== rangFirst)
  assert.ok(Number(await ask('/rang')) >= due - 5)

  const rangSecond = await ask('/rang')
  await ask('/arm?ms=300')
  const [pid] = cells.pids()
  const closed = cells.close()
  process.kill(pid!, 'SIGKILL')
  await closed
  cells = place.open(limits)
  await cells.adopt(snapshot)
  await until(() => cells.pids().length === 1)
  await until(async () => (await ask('/rang')) !== rangSecond)
  await cells.close()
})

test('fifty new versions under load: no request fails, no acknowledged write is lost', async () => {
  const cells = place.open()
  const objects = [counter('k4'), old]
  let deployment = version(1, 'busy')
  let program = programOf([deployment], objects)
  let stop = false
  let answered = 0
  const ask = async (path: string) => {
    const answer = await cells.run(program, deployment, get(path, { method: 'POST' }))
    assert.equal(answer.status, 200)
    answered++
    return textOf(answer)
  }
  await ask('/add')
  const load = Array.from({ length: 8 }, async (_, index) => {
    while (!stop) await ask(index === 0 ? '/slow' : '/add')
  })
  for (let number = 2; number <= 51; number++) {
    deployment = version(number, 'busy')
    program = programOf([deployment], objects)
    await cells.adopt({ revision: number, sites: [], programs: new Map([['busy', program]]) })
    assert.equal(await textOf(cells.run(program, deployment, get('/version'))), String(number))
  }
  stop = true
  await Promise.all(load)
  assert.equal(await ask('/add'), String(answered))
  await cells.close()
})
