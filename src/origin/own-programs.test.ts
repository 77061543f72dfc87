import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { Egress, EgressRequest, ProgramRequest } from '#/core/ports.ts'
import { createProgramCalls, withOwnProbes, withOwnPrograms } from './own-programs.ts'

const pool = { origins: [{ name: 'api', url: 'http://api.test/base', weight: 100 }], choice: 'fallback' } as const

function open() {
  const ran: ProgramRequest[] = []
  const passed: EgressRequest[] = []
  const next: Egress = {
    async fetch(request) {
      passed.push(request)
      return { status: 200, headers: [], body: null }
    },
    async close() {},
  }
  const found = { program: { name: 'api' }, deployment: { id: '1' } } as never
  const egress = withOwnPrograms(next, {
    programAt: (host) => (host === 'api.test' ? found : undefined),
    engine: () => ({
      async run(_program, _deployment, request) {
        ran.push(request)
        return { status: 201, headers: [], body: null, start: 'warm' }
      },
    }),
    limits: defaultLimits,
  })
  const fetch = (more: Partial<EgressRequest>) =>
    egress.fetch({
      ...{ by: { program: 'shop' }, method: 'GET', url: 'http://api.test/base/a?b', headers: [], body: null },
      ...{ wantsUpgrade: false, signal: new AbortController().signal, pool },
      ...more,
    })
  return { ran, passed, fetch }
}

test('a configured backend that names a site is answered by its program', async () => {
  const { ran, passed, fetch } = open()
  assert.equal((await fetch({ headers: ['host', 'over.test', 'x-a', 'b'] })).status, 201)
  const [request] = ran
  assert.deepEqual([request!.authority, request!.path, passed.length], ['over.test', '/base/a?b', 0])
  assert.deepEqual(request!.headers, ['x-a', 'b', 'cdn-loop', 'rimward', 'cf-connecting-ip', '127.0.0.1'])
})

test('other hosts, other requesters and backends of a program itself go their way', async () => {
  const { ran, passed, fetch } = open()
  await fetch({ url: 'http://other.test/' })
  await fetch({ by: { site: 'shop' } })
  await fetch({ pool: undefined as never })
  assert.deepEqual([ran.length, passed.length], [0, 3])
})

test('a circle of programs ends', async () => {
  const { fetch } = open()
  const loop = Array.from({ length: defaultLimits.egressHops }, () => 'rimward').join(', ')
  await assert.rejects(fetch({ headers: ['cdn-loop', loop] }), { code: 'program_loop' })
})

test('programs are asked by name; a circle of them ends', async () => {
  const ran: ProgramRequest[] = []
  const calls = createProgramCalls({
    chosen: (name) => (name === 'shop' ? ({ program: { name }, deployment: { id: '1' } } as never) : undefined),
    engine: () => ({
      async run(_program, _deployment, request) {
        ran.push(request)
        return { status: 201, headers: [], body: null, start: 'warm' }
      },
    }),
    limits: defaultLimits,
  })
  const call = (name: string, more: Partial<EgressRequest> = {}) =>
    calls(name, {
      ...{ method: 'PUT', url: 'https://inside.test:8443/a%7e?b', headers: [], body: null, wantsUpgrade: false },
      ...{ signal: new AbortController().signal, client: '192.0.2.1' },
      ...more,
    })
  assert.equal((await call('shop', { headers: ['x-a', 'b', 'cdn-loop', 'rimward'] })).status, 201)
  const { scheme, authority, path, headers, client } = ran[0]!
  assert.deepEqual([scheme, authority, path, client.address], ['https', 'inside.test:8443', '/a%7e?b', '192.0.2.1'])
  assert.deepEqual(headers.slice(0, 4), ['x-a', 'b', 'cdn-loop', 'rimward, rimward'])
  await assert.rejects(call('nobody'), { code: 'not_found' })
  await assert.rejects(call('shop', { url: 'ftp://x/' }), { code: 'egress_refused' })
  const loop = Array.from({ length: defaultLimits.egressHops }, () => 'rimward').join(', ')
  await assert.rejects(call('shop', { headers: ['cdn-loop', loop] }), { code: 'program_loop' })
})

test("health checks of a program's backends ask the programs that these name; those of sites go out", async () => {
  const out: string[] = []
  const next = {
    async fetch({ url }: EgressRequest) {
      out.push(url)
      return { status: 200, headers: [], body: null }
    },
  }
  const probes = withOwnProbes(next, {
    programAt: (host) =>
      host === 'api.test' ? ({ program: { name: 'api' }, deployment: { id: '1' } } as never) : undefined,
    engine: () => ({ run: async () => ({ status: 204, headers: [], body: null, start: 'warm' }) }),
    isProgram: (site) => site === 'shop',
    limits: defaultLimits,
  })
  const probe = async (site: string, url: string) =>
    (
      await probes.fetch({
        ...{ by: { site }, method: 'HEAD', url, headers: [], body: null, wantsUpgrade: false },
        signal: new AbortController().signal,
      })
    ).status
  assert.equal(await probe('shop', 'http://api.test/up'), 204)
  assert.equal(await probe('shop', 'http://other.test/up'), 200)
  assert.equal(await probe('cdn', 'http://api.test/up'), 200)
  assert.deepEqual(out, ['http://other.test/up', 'http://api.test/up'])
})
