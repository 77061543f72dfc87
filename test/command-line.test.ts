/** The commands of `rimward` as child processes, against our own API on a real socket. */
import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createAdaptorServer } from '@hono/node-server'
import { Hono } from 'hono'
import { createRimwardApi } from '#/apis/rimward/app.ts'
import type { SiteView } from '#/apis/rimward/schemas.ts'
import { runCli, startCli } from '#/cli/run-cli.fixture.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Trace } from '#/core/traces.ts'

async function openNode(context: { after(run: () => void): void }) {
  const sites = new Map<string, SiteView>()
  const listeners = new Set<(trace: Trace) => void>()
  let heard = (): void => {}
  const listening = new Promise<void>((resolve) => {
    heard = resolve
  })
  const version = { id: 'v', number: 3, percent: 100, createdAt: '2026-01-01T00:00:00Z' }
  const api = createRimwardApi({
    control: {
      programs: () => [
        {
          name: 'hello',
          versions: [version],
          bindings: [{ name: 'KV', kind: 'kv' }],
          objects: [],
          hosts: ['hello.localhost'],
        },
      ],
      sites: () => [...sites.values()],
      async addSite({ name, origin, hosts }) {
        if (sites.has(name)) return { ok: false, taken: `There is a site "${name}" already.` }
        const site: SiteView = {
          name,
          hostnames: [`${name}.localhost`, ...hosts],
          routes: [],
          target: { kind: 'origin', url: origin },
        }
        sites.set(name, site)
        return { ok: true, site }
      },
      changeSite: async (name) => sites.get(name),
      removeSite: async (name) => sites.delete(name),
    },
    traces: {
      listen(_program, listener) {
        listeners.add(listener)
        heard()
        return () => listeners.delete(listener)
      },
    },
    egressRules: new Hono(),
    certificates: new Hono(),
    purge: new Hono(),
    members: new Hono(),
    residency: new Hono(),
    metrics: { contentType: 'text/plain', metrics: async () => '' },
    token: 'secret',
    info: {
      version: '0.1.0',
      pop: 'local',
      accountId: 'a'.repeat(32),
      startedAt: 0,
      addresses: () => ({ http: 'http://127.0.0.1:8080', api: 'http://127.0.0.1:8081' }),
      pops: () => [],
      copies: async () => [],
      rollout: { setting: async () => undefined, set: async () => {} },
      checks: () => [{ name: 'engine', ready: false, reason: 'no cell answers' }],
    },
    clock: Date.now,
    log: console.error,
    limits: defaultLimits,
  })
  const server = createAdaptorServer({ fetch: api.fetch, createServer }) as Server
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const options = {
    env: { RIMWARD_API: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, RIMWARD_TOKEN: 'secret' },
  }
  return { options, listeners, listening, server }
}

test('sites are added, listed and removed', async (t) => {
  const { options } = await openNode(t)
  const run = async (line: string): Promise<string> => {
    const { code, out, err } = await runCli(line.split(' '), options)
    return `${code} ${out}${err}`
  }
  assert.equal(await run('site list'), '0 There is no site.\n')
  assert.equal(
    await run('site add shop --origin https://origin.example --host Shop.example --host www.shop.example'),
    '0 Site "shop" answers at shop.localhost, shop.example, www.shop.example.\n',
  )
  assert.match(
    await run('site list'),
    /^0 NAME {2}HOSTS AND ROUTES .*\nshop {2}shop\.localhost, .* {2}https:\/\/origin\.example\n$/,
  )
  assert.equal(
    await run('site add shop --origin https://origin.example'),
    '1 rimward: There is a site "shop" already.\n',
  )
  assert.equal(await run('site add a --origin nonsense'), '1 rimward: origin: must be an absolute URL\n')
  assert.equal(await run('site remove shop --json'), '0 {"removed":"shop"}\n')
  assert.equal(await run('site remove shop'), '1 rimward: There is no site "shop".\n')
})

test('status and programs, for people and as JSON', async (t) => {
  const { options } = await openNode(t)
  const [status, statusJson, programs, programsJson] = await Promise.all(
    ['status', 'status --json', 'programs', 'programs --json'].map((line) => runCli(line.split(' '), options)),
  )
  assert.match(status!.out, /^engine +not ready: no cell answers$/m)
  assert.equal(JSON.parse(statusJson!.out).programs, 1)
  assert.equal(programs!.out, 'NAME   SERVING  BINDINGS  ANSWERS AT\nhello  v3       KV        hello.localhost\n')
  assert.equal(JSON.parse(programsJson!.out)[0].name, 'hello')
})

test('logs follow a program until the node ends', async (t) => {
  for (const json of [false, true]) {
    const { options, listeners, listening, server } = await openNode(t)
    const following = startCli(['logs', 'hello', ...(json ? ['--json'] : [])], options)
    t.after(() => following.child.kill('SIGKILL'))
    await listening
    const trace: Trace = {
      scriptName: 'hello',
      outcome: 'ok',
      eventTimestamp: 0,
      event: { request: { method: 'GET', url: 'http://hello.localhost/ü' } },
      logs: [{ message: ['one', 2], level: 'warn', timestamp: 0 }],
      exceptions: [],
    }
    for (const listener of listeners) listener(trace)
    const out = await following.until(json ? '\n' : 'one 2\n')
    if (json) assert.deepEqual(JSON.parse(out), trace)
    else assert.equal(out, '- GET http://hello.localhost/ü →\n  (warn) one 2\n')
    server.closeAllConnections()
    const { code, err } = await following.done
    assert.equal(code, 1)
    assert.match(err, /rimward: The node ended the connection/)
  }
  const { options } = await openNode(t)
  const unknown = await runCli(['logs', 'nobody'], options)
  assert.deepEqual([unknown.code, unknown.err], [1, 'rimward: There is no program "nobody".\n'])
})
