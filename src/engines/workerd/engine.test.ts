import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { bodyText, openStage, plain, type Stage } from './engine-stage.ts'
import { workersContract } from './workers.contract.ts'

workersContract('in shared cells', () => openStage({ cells: 1, spareCells: 0 }))

const handler = (body: string) => ({
  'main.js': `let count = 0; export default { async fetch(request, env, ctx) { ${body} } }`,
})

async function withStage(limits: Parameters<typeof openStage>[0], run: (stage: Stage) => Promise<void>): Promise<void> {
  const stage = await openStage(limits)
  try {
    await run(stage)
  } finally {
    await stage.close()
  }
}

test('an endless loop ends with its own error; its neighbour is answered meanwhile', { timeout: 20_000 }, async () => {
  await withStage({ cells: 1, spareCells: 1, cellStallMs: 300, cellBeatMs: 50 }, async (stage) => {
    await stage.add({ name: 'good', modules: handler("return new Response('good')") })
    await stage.add({
      name: 'bad',
      modules: handler("if (request.url.endsWith('/loop')) for (;;); return new Response('fine')"),
    })
    assert.equal(await bodyText(await stage.fetch('good', '/')), 'good')
    assert.equal(await bodyText(await stage.fetch('bad', '/')), 'fine')
    const looping = stage.fetch('bad', '/loop')
    const verdict = assert.rejects(
      looping,
      (error) => error instanceof EdgeError && error.code === 'program_exceeded_limits',
    )
    const answers = await Promise.all(Array.from({ length: 20 }, async () => bodyText(await stage.fetch('good', '/'))))
    assert.deepEqual(new Set(answers), new Set(['good']))
    await verdict
    assert.equal(await bodyText(await stage.fetch('good', '/')), 'good')
    // It runs alone from now on: its other paths still work, and its loops hurt nobody.
    const again = stage.fetch('bad', '/loop')
    const startedAt = performance.now()
    await stage.fetch('good', '/')
    assert.ok(performance.now() - startedAt < 250, 'the neighbour waited for the looping program')
    await assert.rejects(again)
    assert.equal(await bodyText(await stage.fetch('bad', '/')), 'fine')
  })
})

test('a microtask loop and a bomb of a regular expression end the same way', { timeout: 30_000 }, async () => {
  await withStage({ cells: 1, spareCells: 1, cellStallMs: 300, cellBeatMs: 50 }, async (stage) => {
    await stage.add({ name: 'good', modules: handler("return new Response('good')") })
    await stage.add({ name: 'micro', modules: handler('for (;;) await 0') })
    await assert.rejects(stage.fetch('micro', '/'), { code: 'program_exceeded_limits' })
    await stage.add({
      name: 'regex',
      modules: handler("return new Response(String(/^(a+)+$/.test('a'.repeat(40) + 'b')))"),
    })
    await assert.rejects(stage.fetch('regex', '/'), { code: 'program_exceeded_limits' })
    assert.equal(await bodyText(await stage.fetch('good', '/')), 'good')
  })
})

test('kill -9 of a cell under load: every safe request succeeds', { timeout: 20_000 }, async () => {
  await withStage({ cells: 1, spareCells: 1 }, async (stage) => {
    const slow = handler("await scheduler.wait(5); return new Response('ok')")
    await stage.add({ name: 'p', modules: slow })
    await stage.fetch('p', '/')
    let killedAt = 0
    let backAt = 0
    const users = Array.from({ length: 16 }, async () => {
      for (let round = 0; round < 40; round++) {
        assert.equal(await bodyText(await stage.fetch('p', '/')), 'ok')
        if (killedAt > 0 && backAt === 0) backAt = performance.now()
      }
    })
    const [victim] = stage.cellPids()
    const victims = [victim!]
    for (const victim of victims) process.kill(victim, 'SIGKILL')
    killedAt = performance.now()
    await Promise.all(users)
    assert.ok(stage.cellPids().every((pid) => !victims.includes(pid)))
    assert.ok(backAt - killedAt < 1000, `back after ${backAt - killedAt} ms`)
  })
})

test('a WebSocket goes through, both ways', { timeout: 10_000 }, async () => {
  await withStage({ cells: 1, spareCells: 0 }, async (stage) => {
    await stage.add({
      name: 'p',
      modules: handler(`const [client, server] = Object.values(new WebSocketPair()); server.accept()
        server.addEventListener('message', (event) => server.send('echo ' + event.data))
        return new Response(null, { status: 101, webSocket: client })`),
    })
    const answer = await stage.fetch('p', '/', {
      wantsUpgrade: true,
      headers: ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ==', 'sec-websocket-version', '13'],
    })
    assert.equal(answer.status, 101)
    answer.upgraded!.write(Buffer.from([0x81, 0x82, 1, 2, 3, 4, 0x68 ^ 1, 0x69 ^ 2]))
    const [frame] = (await once(answer.upgraded!, 'data')) as [Buffer]
    assert.equal(frame.subarray(2).toString(), 'echo hi')
    answer.upgraded!.destroy()
  })
})

test('console output and exceptions are traced while somebody listens', { timeout: 10_000 }, async () => {
  await withStage({ cells: 1, spareCells: 0 }, async (stage) => {
    await stage.add({ name: 'p', modules: handler("console.log('hello', { a: 1 }); throw new Error('boom')") })
    await assert.rejects(stage.fetch('p', '/'))
    assert.equal(stage.traces.length, 0)
    stage.traced.add('p')
    await assert.rejects(stage.fetch('p', '/'))
    while (stage.traces.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const [trace] = stage.traces
    assert.equal(trace!.scriptName, 'p')
    assert.equal(trace!.outcome, 'exception')
    assert.deepEqual(trace!.logs[0]!.message, ['hello', { a: 1 }])
    assert.equal(trace!.exceptions[0]!.message, 'boom')
  })
})

test('isolates beyond the cap are evicted, and start anew when they are asked for', { timeout: 20_000 }, async () => {
  await withStage({ cells: 1, spareCells: 0, cellPrograms: 2 }, async (stage) => {
    for (const name of ['a', 'b', 'c']) {
      await stage.add({ name, modules: handler('return new Response(String(++count))') })
      assert.equal(await bodyText(await stage.fetch(name, '/')), '1')
    }
    const again = await stage.fetch('a', '/')
    assert.deepEqual([again.start, await bodyText(again)], ['cold', '1'])
    const warm = await stage.fetch('a', '/')
    assert.deepEqual([warm.start, await bodyText(warm)], ['warm', '2'])
  })
})

test('fifty deploys under load: every answer is whole, and bindings follow', { timeout: 30_000 }, async () => {
  await withStage({ cells: 2, spareCells: 0 }, async (stage) => {
    const callee = (round: number) => stage.add({ name: 'callee', modules: handler(`return new Response('${round}')`) })
    await callee(0)
    const binding = { kind: 'program', name: 'B', program: 'callee' } as const
    await stage.add({ name: 'caller', modules: handler('return env.B.fetch(request)'), bindings: [binding] })
    let over = false
    const users = ['callee', 'caller', 'callee', 'caller'].map(async (name) => {
      while (!over) assert.match(await bodyText(await stage.fetch(name, '/')), /^\d+$/)
    })
    for (let round = 1; round <= 50; round++) {
      await callee(round)
      assert.equal(await bodyText(await stage.fetch('caller', '/')), String(round))
    }
    over = true
    await Promise.all(users)
  })
})

test('a cell that grew too large is replaced while it serves', { timeout: 20_000 }, async () => {
  await withStage({ cells: 1, spareCells: 1, cellBytes: 120 * 1024 * 1024 }, async (stage) => {
    const grow = 'globalThis.kept ??= new Uint8Array(160 * 1024 * 1024).fill(1)'
    await stage.add({
      name: 'p',
      modules: handler(`if (request.url.endsWith('/grow')) ${grow}; return new Response('ok')`),
    })
    assert.equal(await bodyText(await stage.fetch('p', '/grow')), 'ok')
    const [first] = stage.cellPids()
    while (stage.cellPids()[0] === first) assert.equal(await bodyText(await stage.fetch('p', '/')), 'ok')
    assert.equal((await stage.fetch('p', '/')).status, 200)
  })
})

test('a program that allocates without end loses its cell, not its neighbours', { timeout: 30_000 }, async () => {
  await withStage({ cells: 1, spareCells: 1, cellBytes: 100 * 1024 * 1024 }, async (stage) => {
    await stage.add({ name: 'good', modules: handler("return new Response('good')") })
    const grow = 'const kept = []; for (;;) { kept.push(new Uint8Array(8 << 20).fill(1)); await scheduler.wait(1) }'
    await stage.add({ name: 'bomb', modules: handler(grow) })
    await stage.fetch('good', '/')
    const [first] = stage.cellPids()
    let over = false
    const bomb = stage.fetch('bomb', '/', { method: 'POST' }).finally(() => {
      over = true
    })
    const ended = assert.rejects(bomb, (error: EdgeError) =>
      ['program_hung_up', 'program_exceeded_limits'].includes(error.code),
    )
    while (!over) assert.equal(await bodyText(await stage.fetch('good', '/')), 'good')
    await ended
    assert.notEqual(stage.cellPids()[0], first)
    assert.equal(await bodyText(await stage.fetch('good', '/')), 'good')
  })
})

test('a hint loads the program; a deploy warms what was asked for lately', { timeout: 10_000 }, async () => {
  await withStage({ cells: 1, spareCells: 0 }, async (stage) => {
    const program = await stage.add({ name: 'p', modules: handler("return new Response('ok')") })
    stage.engine.warm(program, program.rollout[0]!.deployment)
    assert.equal((await stage.fetch('p', '/')).start, 'warm')
    const next = await stage.add({ name: 'p', modules: handler("return new Response('new')") })
    const answer = await stage.fetch('p', '/')
    assert.deepEqual([next.name, answer.start, await bodyText(answer)], ['p', 'warm', 'new'])
  })
})

test('failures of the egress are what a Worker would see', { timeout: 10_000 }, async () => {
  await withStage({ cells: 1, spareCells: 0 }, async (stage) => {
    const told =
      "try { const r = await fetch(request.url); return new Response(r.status + ' ' + await r.text()) } catch (e) { return new Response('threw ' + e.message) }"
    await stage.add({ name: 'p', modules: handler(told) })
    const rows: [EdgeError, string][] = [
      [new EdgeError('program_loop', ''), '404 error code: 1042'],
      [new EdgeError('origin_unresolved', ''), '530 error code: 1016'],
      [new EdgeError('egress_refused', ''), '403 error code: 1003'],
      [new EdgeError('origin_refused', ''), 'threw Network connection lost.'],
    ]
    for (const [error, expected] of rows) {
      stage.egress = async () => Promise.reject(error)
      assert.equal(await bodyText(await stage.fetch('p', '/')), expected)
    }
    stage.egress = async ({ method, body, headers }) =>
      plain(
        200,
        `${method} ${headers.includes('x-a')} ${await Readable.toWeb(body as Readable)
          .values()
          .next()
          .then(({ value }) => Buffer.from(value))}`,
      )
    await stage.add({
      name: 'q',
      modules: handler("return fetch('https://out/', { method: 'PUT', body: 'body', headers: { 'x-a': '1' } })"),
    })
    assert.equal(await bodyText(await stage.fetch('q', '/')), 'PUT true body')
  })
})

test('a client that leaves is an error of the client, and the next request works', { timeout: 10_000 }, async () => {
  await withStage({ cells: 1, spareCells: 0 }, async (stage) => {
    await stage.add({
      name: 'p',
      modules: handler("if (request.url.endsWith('/wait')) await scheduler.wait(60000); return new Response('ok')"),
    })
    const left = new AbortController()
    const waiting = stage.fetch('p', '/wait', { signal: left.signal })
    setImmediate(() => left.abort())
    await assert.rejects(waiting, { code: 'client_gone' })
    assert.equal(await bodyText(await stage.fetch('p', '/')), 'ok')
    // Even a client that leaves while the program starts does not spoil it.
    for (let round = 0; round < 20; round++) {
      await stage.add({ name: 'q', modules: handler(`return new Response('${round}')`) })
      const early = new AbortController()
      const pending = stage.fetch('q', '/', { signal: early.signal })
      setTimeout(() => early.abort(), round / 4)
      await pending.catch(() => {})
      assert.equal(await bodyText(await stage.fetch('q', '/')), String(round))
    }
  })
})
