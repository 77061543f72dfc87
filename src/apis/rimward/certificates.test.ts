import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { createCertificates } from '#/control/certificates/certificates.ts'
import { createMemoryFabric, turningSeal } from '#/control/certificates/memory-fabric.fixture.ts'
import { createEgressRules } from '#/control/egress-rules.ts'
import { defaultLimits } from '#/core/limits.ts'
import { certificateRoutes } from './certificates.ts'
import { egressRoutes } from './egress.ts'

async function open(t: TestContext) {
  const clock = Date.now
  const fabric = createMemoryFabric(clock)
  const folder = mkdtempSync(join(tmpdir(), 'rimward-routes-'))
  const limits = { ...defaultLimits, acmeHostnames: 3 }
  const sitesHostnames = () => ['www.example.com']
  const log = { info() {}, warn() {} }
  const certificates = await createCertificates({
    fabric,
    seal: turningSeal,
    folder,
    limits,
    clock,
    log,
    sitesHostnames,
  })
  t.after(async () => {
    await certificates.close()
    rmSync(folder, { recursive: true })
  })
  return { app: certificateRoutes({ certificates, limits }), certificates }
}

async function ask(
  app: { request: ReturnType<typeof certificateRoutes>['request'] },
  method: string,
  path: string,
  body?: unknown,
) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const answer = await app.request(path, { method, ...(body === undefined ? {} : { body: text }) })
  const got = await answer.text()
  return { status: answer.status, json: got === '' ? undefined : JSON.parse(got) }
}

test('a certificate is uploaded, listed without its key, and removed', async (t) => {
  const { app, certificates } = await open(t)
  const { chain, key } = (await certificates.forName('www.example.com'))!
  const made = await ask(app, 'POST', '/certificates', { chain, key })
  assert.equal(made.status, 201)
  assert.deepEqual(made.json.names, ['www.example.com'])
  assert.match(made.json.notAfter, /^20\d\d-.*Z$/)
  const list = await ask(app, 'GET', '/certificates')
  assert.deepEqual(list.json.certificates, [made.json])
  assert.ok(!JSON.stringify(list.json).includes('PRIVATE'))
  assert.equal((await ask(app, 'DELETE', `/certificates/${made.json.id}`)).status, 204)
  assert.equal((await ask(app, 'DELETE', `/certificates/${made.json.id}`)).status, 404)
  assert.match((await ask(app, 'GET', '/tls')).json.localAuthority.file, /ca\.pem$/)
})

test('wrong uploads and settings are refused with what is wrong', async (t) => {
  const { app } = await open(t)
  const acme = {
    directoryUrl: 'https://acme.invalid/',
    email: 'a@b.example',
    hostnames: ['a.example'],
    termsAgreed: true,
  }
  const cases: [string, string, unknown, number, RegExp][] = [
    ['POST', '/certificates', '{', 400, /not JSON/],
    ['POST', '/certificates', { chain: 'x' }, 400, /^key: /],
    ['POST', '/certificates', { chain: 'x', key: 'y', more: 1 }, 400, /more/],
    ['POST', '/certificates', { chain: 'x', key: 'y' }, 400, /PEM/],
    ['POST', '/certificates', { chain: 'x'.repeat(200_000), key: 'y' }, 413, /longer/],
    ['PUT', '/acme', { ...acme, hostnames: [] }, 400, /^hostnames: /],
    ['PUT', '/acme', { ...acme, termsAgreed: false }, 400, /terms/],
    ['PUT', '/acme', { ...acme, hostnames: ['a.example', '*.b.example'] }, 400, /wildcards/],
    ['DELETE', '/acme', undefined, 404, /not configured/],
  ]
  for (const [method, path, body, status, message] of cases) {
    const answer = await ask(app, method, path, body)
    assert.equal(answer.status, status, `${method} ${path} ${message}`)
    assert.match(answer.json.error.message, message)
  }
  assert.deepEqual((await ask(app, 'GET', '/acme')).json, { configured: false })
})

test('ACME is configured, seen and ended', async (t) => {
  const { app } = await open(t)
  // Port 1 of loopback: nobody answers, which is seen in the status and nowhere else.
  const acme = {
    directoryUrl: 'http://127.0.0.1:1/',
    email: 'a@b.example',
    hostnames: ['a.example'],
    termsAgreed: true,
  }
  assert.equal((await ask(app, 'PUT', '/acme', acme)).status, 202)
  const status = (await ask(app, 'GET', '/acme')).json
  assert.equal(status.hostnames[0].hostname, 'a.example')
  assert.match(status.hostnames[0].state, /waiting|failing/)
  assert.equal((await ask(app, 'DELETE', '/acme')).status, 204)
})

test('rules are made, listed and removed', async () => {
  const rules = await createEgressRules({ fabric: createMemoryFabric(() => 0), limits: defaultLimits, clock: () => 0 })
  const app = egressRoutes({ rules })
  const made = await ask(app, 'POST', '/egress-rules', { program: 'shop', destination: 'DB.internal:5432' })
  assert.deepEqual([made.status, made.json.destination], [201, 'db.internal:5432'])
  assert.equal((await ask(app, 'GET', '/egress-rules')).json.rules.length, 1)
  const wrong = await ask(app, 'POST', '/egress-rules', { program: 'shop', destination: '10.0.0.1/8' })
  assert.deepEqual([wrong.status, wrong.json.error.code], [400, 'bad_request'])
  assert.equal((await ask(app, 'POST', '/egress-rules', '{')).status, 400)
  assert.match((await ask(app, 'POST', '/egress-rules', { program: 'shop' })).json.error.message, /destination/)
  assert.equal((await ask(app, 'DELETE', '/egress-rules?program=shop&destination=db.internal:5432')).status, 204)
  assert.equal((await ask(app, 'DELETE', '/egress-rules?program=shop&destination=db.internal:5432')).status, 404)
  rules.close()
})
