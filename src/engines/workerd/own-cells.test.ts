import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { get, openPlace, programOf, textOf, until } from './own-cells-for-tests.ts'
import { makeDeployment } from './programs-for-tests.ts'

const place = await openPlace()
after(() => place.end())

const source = `
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url)
    if (pathname === '/throw') throw new Error('boom')
    if (pathname === '/own-500') return new Response('Internal Server Error', { status: 500 })
    if (pathname === '/loop') for (;;) {}
    if (pathname === '/open') { ctx.passThroughOnException(); throw new Error('open') }
    if (pathname === '/fetch') return fetch('https://origin.example/x?y', { headers: { 'rimward-id': 'forged' } })
    if (pathname === '/kv') return new Response(await env.KV.get('a/b'))
    if (pathname === '/cf') return Response.json([request.cf, request.url])
    if (pathname === '/log') { console.log('said', 1); return new Response('logged') }
    if (pathname === '/wait') { await scheduler.wait(300); return new Response('waited') }
    return new Response('hello')
  },
}`
const bindings = [{ kind: 'kv', name: 'KV', store: 'k1' }] as const

test('a program runs with everything it may reach, and its failures have names', async () => {
  const cells = place.open({ programCpuMs: 200 })
  const deployment = makeDeployment({ modules: { 'main.js': source }, bindings })
  const program = programOf([deployment])
  const ask = (path: string, more = {}) => cells.run(program, deployment, get(path, more))

  const [first, second] = await Promise.all([ask('/'), ask('/')])
  assert.deepEqual([first.status, first.start, second.start, await textOf(first)], [200, 'cold', 'cold', 'hello'])
  assert.equal((await ask('/')).start, 'warm')
  assert.equal(await textOf(ask('/cf')), '[{"colo":"here"},"https://shop.example/cf"]')
  assert.equal(await textOf(ask('/kv')), 'kv of k1: /a%2Fb?urlencoded=true')
  assert.equal(await textOf(ask('/fetch')), 'egress of shop: https://origin.example/x?y')
  assert.equal(await textOf(ask('/open')), 'egress of shop: https://shop.example/open')
  assert.equal((await ask('/own-500')).status, 500)
  for (const method of ['GET', 'HEAD', 'POST'])
    await assert.rejects(ask('/throw', { method }), { code: 'program_exception' }, method)

  const others = Promise.allSettled([ask('/wait').then(textOf)])
  await assert.rejects(ask('/loop'), { code: 'program_exceeded_limits' })
  await others
  assert.equal(await textOf(ask('/')), 'hello')
})

test('a process that dies is replaced and safe requests are asked again', async () => {
  const cells = place.open()
  const deployment = makeDeployment({ modules: { 'main.js': source } })
  const program = programOf([deployment])
  await cells.run(program, deployment, get('/'))
  const slow = cells.run(program, deployment, get('/wait')).then(textOf)
  const unsafe = cells.run(program, deployment, get('/wait', { method: 'POST' }))
  await new Promise((resolve) => setTimeout(resolve, 50))
  process.kill(cells.pids()[0]!, 'SIGKILL')
  await assert.rejects(unsafe, { code: 'program_hung_up' })
  assert.equal(await slow, 'waited')
})

test('idle processes end, and their number is bounded', async () => {
  const cells = place.open({ ownCells: 2, ownCellIdleMs: 200 })
  const programs = [1, 2, 3].map((number) => makeDeployment({ program: `p${number}`, modules: { 'main.js': source } }))
  for (const deployment of programs) await cells.run(programOf([deployment]), deployment, get('/'))
  // On a machine that starts processes slowly the first may be idle for long enough by now.
  assert.ok([1, 2].includes(cells.pids().length), `${cells.pids().length} processes`)
  const busy = programs.map((deployment) => cells.run(programOf([deployment]), deployment, get('/wait')))
  const outcomes = await Promise.allSettled(busy)
  assert.ok(outcomes.filter(({ status }) => status === 'fulfilled').length >= 2)
  await until(() => cells.pids().length === 0)
})

test('logs and exceptions reach the traces of who asked for them', async () => {
  const cells = place.open()
  const deployment = makeDeployment({ modules: { 'main.js': source } })
  const program = programOf([deployment])
  place.tracesWanted = true
  await textOf(cells.run(program, deployment, get('/log')))
  await assert.rejects(cells.run(program, deployment, get('/throw')))
  await until(() => place.traces.length >= 2)
  place.tracesWanted = false
  const [log, thrown] = place.traces as { [key: string]: unknown }[]
  assert.partialDeepStrictEqual(log, { deployment: deployment.id, outcome: 'ok' })
  assert.partialDeepStrictEqual(log, { logs: [{ level: 'log', message: ['said', 1] }] })
  assert.partialDeepStrictEqual(thrown, { outcome: 'exception', exceptions: [{ name: 'Error', message: 'boom' }] })
})

test('a service-worker script runs', async () => {
  const cells = place.open()
  const script = `addEventListener('fetch', (event) => event.respondWith(new Response(GREETING)))`
  const greeting = { kind: 'text', name: 'GREETING', text: 'héllo' } as const
  const deployment = makeDeployment({ modules: { 'w.js': script }, syntax: 'script', bindings: [greeting] })
  assert.equal(await textOf(cells.run(programOf([deployment]), deployment, get('/'))), 'héllo')
})
