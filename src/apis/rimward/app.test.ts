import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Hono } from 'hono'
import { EdgeError } from '#/core/errors.ts'
import { defaultLimits } from '#/core/limits.ts'
import type { Trace } from '#/core/traces.ts'
import { createRimwardApi, type RimwardControl } from './app.ts'
import type { Check, ProgramView, SiteView } from './schemas.ts'

const hello: ProgramView = { name: 'hello', versions: [], bindings: [], objects: [], hosts: ['hello.localhost'] }

function memoryControl(): RimwardControl {
  const sites = new Map<string, SiteView>()
  sites.set('hello', {
    name: 'hello',
    hostnames: ['hello.localhost'],
    routes: [],
    target: { kind: 'program', program: 'hello' },
  })
  return {
    programs: () => [hello],
    sites: () => [...sites.values()],
    async addSite({ name, origin, hosts }) {
      if (sites.has(name)) return { ok: false, taken: `There is a site "${name}" already.` }
      const site: SiteView = { name, hostnames: hosts, routes: [], target: { kind: 'origin', url: origin } }
      sites.set(name, site)
      return { ok: true, site }
    },
    async changeSite(name, { hosts }) {
      const site = sites.get(name)
      if (site?.target.kind !== 'origin') return undefined
      const changed = { ...site, hostnames: hosts ?? site.hostnames }
      sites.set(name, changed)
      return changed
    },
    async removeSite(name) {
      return sites.get(name)?.target.kind === 'origin' && sites.delete(name)
    },
  }
}

function open(
  limits: Partial<typeof defaultLimits> = {},
  checks: () => Check[] = () => [{ name: 'engine', ready: true }],
) {
  const listeners = new Set<(trace: Trace) => void>()
  const bugs: string[] = []
  const api = createRimwardApi({
    control: memoryControl(),
    traces: {
      listen: (_program, listener) => {
        listeners.add(listener)
        return () => listeners.delete(listener)
      },
    },
    origins: (site) => [
      {
        site,
        name: 'a',
        url: 'http://a/',
        healthy: true,
        check: { successes: 1, window: 2, threshold: 1, since: 0, last: { at: 1_000, ok: true, why: 'status 200' } },
        requests: 1,
        failures: 0,
        retries: 0,
      },
    ],
    egressRules: new Hono().get('/egress-rules', (c) => c.json({ rules: [] })),
    certificates: new Hono().get('/certificates', (c) => c.json({ certificates: [] })),
    purge: new Hono().post('/purge', (c) => c.json({ purged: true })),
    members: new Hono(),
    residency: new Hono().get('/residency', (c) => c.json({ residency: [] })),
    metrics: { contentType: 'text/plain; version=0.0.4', metrics: async () => 'up 1\n' },
    token: 'secret',
    info: {
      version: '0.1.0',
      pop: 'local',
      accountId: 'a'.repeat(32),
      startedAt: 1_000,
      addresses: () => ({ http: 'http://127.0.0.1:8080', api: 'http://127.0.0.1:8081' }),
      pops: () => [],
      copies: async () => [],
      rollout: { setting: async () => undefined, set: async () => {} },
      checks,
    },
    clock: () => 61_000,
    log: (message) => bugs.push(message),
    limits: { ...defaultLimits, ...limits },
  })
  const call = (method: string, path: string, body?: unknown): Promise<Response> =>
    Promise.resolve(
      api.request(path, {
        method,
        headers: { authorization: 'Bearer secret' },
        ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      }),
    )
  return { api, call, listeners, bugs }
}

function trace(message: string): Trace {
  return {
    scriptName: 'hello',
    outcome: 'ok',
    eventTimestamp: 1,
    event: null,
    exceptions: [],
    logs: [{ message: [message], level: 'log', timestamp: 1 }],
  }
}

test('everything under /rimward/v1 needs the token', async () => {
  const { api } = open()
  const paths = [
    'openapi.json',
    'status',
    'programs',
    'programs/hello/logs',
    'sites',
    'egress-rules',
    'certificates',
    'residency',
    'audit',
    'nothing',
  ]
  for (const path of paths) {
    for (const authorization of [undefined, 'Bearer wrong', 'Basic secret', 'Bearer ']) {
      const answer = await api.request(`/rimward/v1/${path}`, authorization ? { headers: { authorization } } : {})
      assert.equal(answer.status, 401, `${path} with ${authorization}`)
      assert.equal(answer.headers.get('content-type'), 'application/json')
      assert.equal(answer.headers.get('www-authenticate'), 'Bearer')
    }
  }
})

test('the description names every route and every route answers', async () => {
  const { call } = open()
  const document = (await (await call('GET', '/rimward/v1/openapi.json')).json()) as {
    paths: Record<string, Record<string, { requestBody?: unknown }>>
  }
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method} ${path}`),
  )
  assert.deepEqual(described.sort(), [
    'delete /rimward/v1/acme',
    'delete /rimward/v1/certificates/{id}',
    'delete /rimward/v1/egress-rules',
    'delete /rimward/v1/pops/{node}',
    'delete /rimward/v1/sites/{name}',
    'get /rimward/v1/acme',
    'get /rimward/v1/audit',
    'get /rimward/v1/certificates',
    'get /rimward/v1/copies',
    'get /rimward/v1/egress-rules',
    'get /rimward/v1/openapi.json',
    'get /rimward/v1/pops',
    'get /rimward/v1/programs',
    'get /rimward/v1/programs/{name}/logs',
    'get /rimward/v1/purges/{id}',
    'get /rimward/v1/residency',
    'get /rimward/v1/rollout',
    'get /rimward/v1/sites',
    'get /rimward/v1/sites/{name}',
    'get /rimward/v1/sites/{name}/origins',
    'get /rimward/v1/status',
    'get /rimward/v1/tls',
    'patch /rimward/v1/sites/{name}',
    'post /rimward/v1/certificates',
    'post /rimward/v1/egress-rules',
    'post /rimward/v1/invites',
    'post /rimward/v1/purge',
    'post /rimward/v1/sites',
    'put /rimward/v1/acme',
    'put /rimward/v1/residency',
    'put /rimward/v1/rollout',
  ])
  assert.match(JSON.stringify(document.paths['/rimward/v1/sites']!.post!.requestBody), /"origin"/)
  for (const path of ['status', 'programs', 'sites', 'egress-rules', 'certificates', 'residency']) {
    assert.equal((await call('GET', `/rimward/v1/${path}`)).status, 200, path)
  }
  const unknown = await call('GET', '/rimward/v1/nothing')
  assert.equal(unknown.status, 404)
  assert.match(await unknown.text(), /There is no GET \/rimward\/v1\/nothing/)
})

test('sites are added, listed, removed; bad ones are refused with a sentence', async () => {
  const { call } = open()
  const cases: [unknown, number, RegExp][] = [
    [{ name: 'shop', origin: 'https://shop.example:8443/base', hosts: ['shop.example'] }, 201, /shop\.example/],
    [{ name: 'shop', origin: 'https://other.example' }, 409, /already/],
    ['{', 400, /not JSON/],
    [{ name: 'Shop!', origin: 'https://a.example' }, 400, /name: must be a DNS label/],
    [{ name: 'a', origin: 'ftp://a.example' }, 400, /origin: must start with http/],
    [{ name: 'a', origin: 'nonsense' }, 400, /origin: must be an absolute URL/],
    [{ name: 'a', origin: 'https://u:p@a.example' }, 400, /user name/],
    [{ name: 'a', origin: 'https://a.example', hosts: ['b.example:80'] }, 400, /hosts\.0: must be a host name/],
    [{ name: 'a', origin: 'https://a.example', cache: true }, 400, /cache/],
    [{ name: 'a', origin: 'https://a.example', answers: { gzip: true } }, 400, /gzip/],
    [{ name: 'a', origin: 'https://a.example', answers: { hsts: { maxAge: -1 } } }, 400, /hsts\.maxAge is -1/],
    [{ name: 'a' }, 400, /origin: give either/],
    [{ name: 'a', origin: 'http://a.example', origins: ['http://b.example'] }, 400, /origin: give either/],
    [{ name: 'a', origins: ['http://a.example', { url: 'x' }] }, 400, /origins\.1\.url: must be an absolute URL/],
    [{ name: 'a', origins: [{ url: 'http://a.example', shield: 'fra' }] }, 400, /shield: .*whole site/],
    [{ name: 'a', origins: [{ url: 'http://a.example', timeout: 1 }] }, 400, /Unrecognized key: .*timeout/],
    [{ name: 'a', origin: 'http://a.example', choice: 'best' }, 400, /choice/],
    [{ name: 'a', origin: 'http://a.example', healthCheck: { threshold: 3 } }, 400, /threshold: must not exceed/],
    [{ name: 'a', origin: 'http://a.example', errorPages: { 200: { body: '' } } }, 400, /errorPages/],
    [{ name: 'a', origin: 'http://a.example', errorPages: { 503: { body: 'x'.repeat(70_000) } } }, 400, /larger/],
  ]
  for (const [body, status, text] of cases) {
    const answer = await call('POST', '/rimward/v1/sites', body)
    assert.equal(answer.status, status, JSON.stringify(body))
    assert.match(await answer.text(), text)
  }
  const changes: [string, unknown, number, RegExp][] = [
    ['shop', { hosts: ['new.example'] }, 200, /new\.example/],
    ['shop', { origins: [] }, 400, /origins/],
    ['hello', {}, 409, /belongs to a program/],
    ['nobody', {}, 404, /no site .*nobody/],
  ]
  for (const [name, change, status, text] of changes) {
    const answer = await call('PATCH', `/rimward/v1/sites/${name}`, change)
    assert.equal(answer.status, status, name)
    assert.match(await answer.text(), text)
  }
  assert.match(await (await call('GET', '/rimward/v1/sites/shop')).text(), /new\.example/)
  const states = await (await call('GET', '/rimward/v1/sites/shop/origins')).json()
  const last = { at: '1970-01-01T00:00:01.000Z', ok: true, why: 'status 200' }
  const check = { successes: 1, window: 2, threshold: 1, since: '1970-01-01T00:00:00.000Z', last }
  const counts = { requests: 1, failures: 0, retries: 0 }
  assert.deepEqual(states, { origins: [{ name: 'a', url: 'http://a/', healthy: true, check, ...counts }] })
  assert.equal((await call('DELETE', '/rimward/v1/sites/shop')).status, 204)
  assert.equal((await call('DELETE', '/rimward/v1/sites/shop')).status, 404)
  assert.equal((await call('DELETE', '/rimward/v1/sites/hello')).status, 409)
  const large = await open({ rimwardApiBodyBytes: 100 }).call('POST', '/rimward/v1/sites', 'x'.repeat(101))
  assert.equal(large.status, 413)
})

test('a known failure keeps its code and status; a bug is logged and says nothing of itself', async () => {
  const full = open({}, () => {
    throw new EdgeError('storage_full', 'The disk is full.')
  })
  const answer = await full.call('GET', '/rimward/v1/status')
  assert.equal(answer.status, 507)
  assert.deepEqual(await answer.json(), { error: { code: 'storage_full', message: 'The disk is full.' } })
  assert.deepEqual(full.bugs, [])
  const broken = open({}, () => {
    throw new TypeError('secret of the inside')
  })
  const bug = await broken.call('GET', '/rimward/v1/status')
  assert.equal(bug.status, 500)
  assert.doesNotMatch(await bug.text(), /secret/)
  assert.deepEqual(broken.bugs, ['GET /rimward/v1/status failed'])
})

test('logs stream as lines or as events, and a slow reader is told what it missed', async () => {
  const { api, call, listeners } = open({ logReaderLines: 3, logReaders: 2 })
  assert.equal((await call('GET', '/rimward/v1/programs/nobody/logs')).status, 404)
  const lines = await call('GET', '/rimward/v1/programs/hello/logs')
  const events = await api.request('/rimward/v1/programs/hello/logs', {
    headers: { authorization: 'Bearer secret', accept: 'text/event-stream' },
  })
  assert.equal(lines.headers.get('content-type'), 'application/x-ndjson')
  assert.equal(events.headers.get('content-type'), 'text/event-stream')
  assert.equal((await call('GET', '/rimward/v1/programs/hello/logs')).status, 429)
  const emit = (message: string): void => {
    for (const listener of listeners) listener(trace(message))
  }
  for (const message of ['one', 'two', 'three', 'four']) emit(message)
  const reader = lines.body!.getReader()
  const next = async (): Promise<string> => new TextDecoder().decode((await reader.read()).value)
  assert.equal(await next(), '\n')
  assert.match(await next(), /"one"/)
  assert.match(await next(), /"two"/)
  emit('five')
  assert.equal(await next(), '{"dropped":2}\n')
  assert.match(await next(), /"five"/)
  await reader.cancel()
  const eventReader = events.body!.getReader()
  await eventReader.read()
  assert.match(new TextDecoder().decode((await eventReader.read()).value), /^data: \{.*\}\n\n$/)
  await eventReader.cancel()
  assert.equal(listeners.size, 0)
  assert.equal((await call('GET', '/rimward/v1/programs/hello/logs')).status, 200)
})

test('health, readiness, counters and the page need no token', async () => {
  const { api } = open()
  assert.deepEqual(await (await api.request('/healthz')).json(), {
    ok: true,
    version: '0.1.0',
    pop: 'local',
    uptimeSeconds: 60,
  })
  assert.equal((await api.request('/readyz')).status, 200)
  assert.equal(await (await api.request('/metrics')).text(), 'up 1\n')
  const page = await api.request('/')
  assert.match(page.headers.get('content-security-policy') ?? '', /default-src 'none'/)
  assert.match(await page.text(), /<h1>Rimward<\/h1>/)
  const unready = open({}, () => [{ name: 'engine', ready: false, reason: 'no cell answers' }])
  const answer = await unready.api.request('/readyz')
  assert.equal(answer.status, 503)
  assert.deepEqual(await answer.json(), {
    ready: false,
    checks: [{ name: 'engine', ready: false, reason: 'no cell answers' }],
  })
})
