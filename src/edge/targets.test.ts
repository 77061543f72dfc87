/**
 * What answers: files before or after the program, origins, redirects, loops, slow paths of the answer.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import type { Assets, EgressRequest } from '#/core/ports.ts'
import type { AssetsDeployment, Site } from '#/core/snapshot.ts'
import { acceptedType } from '#/http/accept-type.ts'
import { aDeployment, aSite, aSnapshot, hello, rawExchange, startEdge } from './edge.fixture.ts'
import { originUrl } from './fetch-origin.ts'
import { errorPage } from './pages.ts'

const assetsOf = (change: Partial<AssetsDeployment> = {}): AssetsDeployment => ({
  manifest: 'm',
  files: 1,
  htmlHandling: 'auto-trailing-slash',
  notFoundHandling: 'none',
  runProgramFirst: false,
  ...change,
})
const files: Assets = {
  match: async (_assets, { path }) =>
    path === '/file' ? { status: 200, headers: [], body: Buffer.from('a file') } : undefined,
  answer: async () => ({ status: 404, headers: [], body: Buffer.from('no file') }),
}
const get = (path: string, more = '') =>
  `GET ${path} HTTP/1.1\r\nHost: hello.localhost\r\n${more}Connection: close\r\n\r\n`
const bodyOf = (text: string) => text.slice(text.indexOf('\r\n\r\n') + 4)

const { code, ...codeless } = aDeployment()
const cases = [
  ['a file', { ...codeless, code: code!, assets: assetsOf() }, '/file', '', 'a file'],
  ['no file', { ...codeless, code: code!, assets: assetsOf() }, '/x', '', 'hello'],
  ['program first', { ...codeless, code: code!, assets: assetsOf({ runProgramFirst: true }) }, '/file', '', 'hello'],
  ['no program', { ...codeless, assets: assetsOf() }, '/x', '', 'no file'],
] as const

for (const [name, deployment, path, more, body] of cases)
  test(`files and program: ${name}`, async (t) => {
    const snapshot = aSnapshot([aSite()], deployment)
    const { port, logged } = await startEdge(t, {
      options: { snapshot: () => snapshot, assets: files, programFirst: (assets) => assets.runProgramFirst === true },
    })
    assert.equal(bodyOf(await rawExchange(port, get(path, more))), body)
    assert.equal((await logged(1))[0]!.program, 'hello')
  })

test('an origin gets the path behind its own, and who the client is', async (t) => {
  const asked: EgressRequest[] = []
  let paged = false
  const site: Site = aSite({ name: 'cdn', target: { kind: 'origin', url: 'https://origin.example/base/' } })
  const errorPages = { '5xx': { type: 'text/plain', body: 'We are sorry.' } }
  const { port, logged } = await startEdge(t, {
    options: {
      snapshot: () => aSnapshot([paged ? { ...site, errorPages } : site]),
      egress: {
        async fetch(request) {
          asked.push(request)
          if (request.url.endsWith('/down')) throw new EdgeError('origin_unresolved', 'origin.example has no address.')
          return hello()
        },
      },
    },
  })
  assert.equal(bodyOf(await rawExchange(port, get('/a?b'))), 'hello')
  assert.equal(asked[0]!.url, 'https://origin.example/base/a?b')
  assert.deepEqual(asked[0]!.by, { site: 'cdn' })
  assert.deepEqual(asked[0]!.headers.slice(-4), ['via', '1.1 rimward', 'x-forwarded-host', 'hello.localhost'])
  assert.match(await rawExchange(port, get('/down')), /^HTTP\/1.1 530 [\s\S]*error code: 1016/)
  paged = true
  const own = await rawExchange(port, get('/down'))
  assert.match(own, /^HTTP\/1.1 530 [\s\S]*content-type: text\/plain\r\n[\s\S]*cf-ray: /)
  assert.equal(bodyOf(own), 'We are sorry.')
  assert.deepEqual(
    (await logged(3)).map((line) => line.error),
    [undefined, 'origin_unresolved', 'origin_unresolved'],
  )
})

test('a redirect, a site without a program, a request that loops', async (t) => {
  const sites = [
    aSite(),
    aSite({
      name: 'r',
      hostnames: ['r.localhost'],
      target: { kind: 'redirect', location: 'https://x.example/', status: 308 },
    }),
    aSite({ name: 'e', hostnames: ['e.localhost'], target: { kind: 'program', program: 'gone' } }),
  ]
  const snapshot = aSnapshot(sites)
  const { port, seen } = await startEdge(t, { options: { snapshot: () => snapshot } })
  const ask = (host: string, more = '') => rawExchange(port, get('/', more).replace('hello.localhost', host))
  assert.match(await ask('r.localhost'), /^HTTP\/1.1 308 [\s\S]*location: https:\/\/x.example\/\r\n/)
  assert.match(await ask('e.localhost'), /^HTTP\/1.1 404 [\s\S]*Nothing is deployed/)
  const loops = (count: number) => `CDN-Loop: ${Array(count).fill('rimward').join(', ')}\r\n`
  assert.match(await ask('hello.localhost', loops(8)), /^HTTP\/1.1 508 /)
  assert.match(await ask('hello.localhost', loops(7)), /^HTTP\/1.1 200 /)
  assert.equal(seen.length, 1)
})

test('debug tells where the time went', async (t) => {
  const { port } = await startEdge(t, { options: { debug: true } })
  const text = await rawExchange(port, get('/'))
  assert.match(text, /server-timing: program;dur=[\d.]+\r\n/)
  assert.match(text, /x-rimward-start: warm\r\n/)
})

test('the URL of an origin', () => {
  assert.equal(originUrl('http://o.example', '/a?b'), 'http://o.example/a?b')
  assert.equal(originUrl('http://o.example:81/x', '/'), 'http://o.example:81/x/')
  assert.equal(originUrl('http://o.example', '//evil.example/'), 'http://o.example//evil.example/')
})

test('the page has the form the client likes, and nothing in it is markup of others', () => {
  for (const [accept, type] of [
    [undefined, 'text'],
    ['*/*', 'text'],
    ['text/html,application/xhtml+xml,*/*;q=0.8', 'html'],
    ['application/json', 'json'],
    ['application/json;q=0.5, text/html;q=0.9', 'html'],
    ['text/html;q=0, application/json', 'json'],
  ] as const)
    assert.equal(acceptedType(accept), type, String(accept))
  const page = errorPage(new EdgeError('no_such_site', '<script>'), 'text/html', { id: '1', pop: 'fra', host: '<b>' })
  assert.doesNotMatch(String(page.body), /<script>|<b>/)
})
