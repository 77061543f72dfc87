import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Site } from '#/core/snapshot.ts'
import { parseAuthority } from '#/http/authority.ts'
import { aSite, aSnapshot } from './edge.fixture.ts'
import { findSite, prepareSites } from './find-site.ts'

const site = (name: string, hostnames: string[], routes: string[] = []): Site => aSite({ name, hostnames, routes })

const snapshot = aSnapshot([
  site('apex', ['example.com', 'xn--bcher-kva.example', '::1']),
  site('wild', ['*.example.com']),
  site('deep', ['*.a.example.com']),
  site('app', [], ['example.com/app/*']),
  site('app-admin', [], ['example.com/app/admin*', 'https://example.com/app/secure*']),
  site('exact', [], ['example.com/only']),
  site('any-host', [], ['*.example.com/shared/*']),
  site('both', [], ['*example.net/*']),
  site('all', [], ['*example.org']),
])

const cases: readonly (readonly [string, string | undefined])[] = [
  ['http://example.com/', 'apex'],
  ['http://EXAMPLE.com./', 'apex'],
  ['http://bücher.example/', 'apex'],
  ['http://[::1]:8080/', 'apex'],
  ['http://[0:0:0:0:0:0:0:1]/', 'apex'],
  ['http://www.example.com/', 'wild'],
  ['http://x.y.example.com/', 'wild'],
  ['http://x.a.example.com/', 'deep'],
  ['http://example.com/app/', 'app'],
  ['http://example.com/app/x?y', 'app'],
  ['http://example.com/app', 'apex'],
  ['http://example.com/app/admin', 'app-admin'],
  ['https://example.com/app/secure', 'app-admin'],
  ['http://example.com/app/secure', 'app'],
  ['http://example.com/only', 'exact'],
  ['http://example.com/only?x', 'apex'],
  ['http://www.example.com/shared/x', 'any-host'],
  ['http://example.com/shared/x', 'apex'],
  ['http://example.net/', 'both'],
  ['http://www.example.net/x', 'both'],
  ['http://notexample.net/x', undefined],
  ['http://example.org/', 'all'],
  ['http://example.org/x', undefined],
  ['http://nobody.example/', undefined],
]

for (const [url, name] of cases)
  test(`${url} is ${name ?? 'nobody'}`, () => {
    const [, scheme, authority, path] = /^(https?):\/\/([^/]*)(.*)$/.exec(url)!
    const host = parseAuthority(authority!)!.host
    assert.equal(findSite(snapshot, { scheme: scheme as 'http', host, path: path! })?.name, name)
  })

test('authorities that two readers could take for different hosts are none', () => {
  for (const text of [
    '',
    ' ',
    'a b',
    'a/b',
    'a@b',
    'a,b',
    'a:b',
    'a:1:2',
    'a..b',
    '.',
    '[::1',
    '[1]',
    '-a',
    'a\tb',
    'a%00b',
    '[::1]x',
  ])
    assert.equal(parseAuthority(text), undefined, text)
})

test('tables made from those before are those made anew, over two thousand changes', () => {
  let state = 7
  const below = (most: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * most)
  }
  const hosts = [...Array.from({ length: 40 }, (_, index) => `h${index}.test`), '*.wild.test', 'a.wild.test']
  // Now and then a route, a wildcard, or a name that another site has too.
  const random = (name: string): Site =>
    site(
      name,
      Array.from({ length: below(3) }, () => hosts[below(hosts.length)]!),
      below(50) === 0 ? [`h${below(40)}.test/app/*`] : [],
    )
  let before = aSnapshot(Array.from({ length: 12 }, (_, index) => random(`s${index}`)))
  for (let change = 0; change < 2_000; change++) {
    const sites = [...before.sites]
    const at = below(sites.length)
    const kind = below(4)
    if (kind === 0) sites.splice(at, 0, random(`n${change}`))
    else if (kind === 1 && sites.length > 5) sites.splice(at, 1)
    else sites.splice(at, 1, random(sites[at]!.name))
    const after = aSnapshot(sites)
    prepareSites(after, before)
    const anew = aSnapshot(sites)
    for (const host of hosts) {
      const request = { scheme: 'http', host: host.replace('*', 'x'), path: '/app/x' } as const
      assert.equal(findSite(after, request), findSite(anew, request), `${host} after change ${change}`)
    }
    before = after
  }
})
