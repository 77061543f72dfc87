import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type AnswerPolicy, answerPolicyProblems } from '#/core/answer-policy.ts'
import { defaultLimits } from '#/core/limits.ts'
import { compileSiteRules, type RuleFacts } from './site-rules.ts'

const asked: RuleFacts = { method: 'GET', scheme: 'http', host: 'a.example', authority: 'a.example', path: '/' }

test('to HTTPS', () => {
  const table: [Partial<RuleFacts>, number | undefined, string | undefined][] = [
    [{}, 8443, '301 https://a.example/'],
    [{ authority: 'a.example:8080', path: '/x?y' }, 8443, '301 https://a.example:8443/x?y'],
    [{ authority: 'a.example:80' }, 443, '301 https://a.example/'],
    [{ method: 'POST' }, 443, '308 https://a.example/'],
    [{ method: 'HEAD' }, 443, '301 https://a.example/'],
    [{ scheme: 'https' }, 443, undefined],
  ]
  for (const [facts, httpsPort, expected] of table) {
    const answer = compileSiteRules({ httpsRedirect: true }, { httpsPort }).redirect({ ...asked, ...facts })
    assert.equal(answer && `${answer.status} ${answer.headers[1]}`, expected)
  }
})

test('redirects', () => {
  const rules = compileSiteRules(
    {
      redirects: [
        { from: '/blog/*', to: '/news/:splat', status: 301 },
        { from: '/blog/about', to: '/about', status: 302 },
        { from: '/go', to: 'https://b.example/?from=a', status: 307 },
        { from: '/up/*', to: '/:splat', status: 302 },
        { from: '/deep/*', to: 'https://b.example/x/:splat#top', status: 308 },
      ],
    },
    { httpsPort: undefined },
  )
  const table: [string, string | undefined][] = [
    ['/blog/2026/one?page=2', '301 /news/2026/one?page=2'],
    ['/blog', '301 /news/'],
    ['/blogs', undefined],
    ['/blog/about', '302 /about'],
    ['/go?x', '307 https://b.example/?from=a'],
    ['/up//evil.example', '302 /evil.example'],
    ['/up/\\evil.example', '302 /evil.example'],
    ['/deep/$&?q', '308 https://b.example/x/$&?q#top'],
    ['/', undefined],
  ]
  for (const [path, expected] of table) {
    const answer = rules.redirect({ ...asked, path })
    assert.equal(answer && `${answer.status} ${answer.headers[1]}`, expected, path)
  }
})

test('header rules and HSTS', () => {
  const rules = compileSiteRules(
    {
      hsts: { maxAge: 31_536_000, includeSubDomains: true, preload: true },
      headers: [
        { action: 'remove', name: 'Server' },
        { action: 'set', name: 'X-Frame-Options', value: 'DENY' },
        { action: 'add', name: 'link', value: '</a.css>; rel=preload', path: '/pages/*' },
        { action: 'set', name: 'cache-control', value: 'max-age=60', path: '/*.js' },
        { action: 'add', name: 'x-exact', value: '1', path: '/one' },
      ],
    },
    { httpsPort: undefined },
  )
  const given = ['server', 'x', 'x-frame-options', 'a', 'SERVER', 'y', 'cache-control', 'no-store']
  const table: [Partial<RuleFacts>, string][] = [
    [{}, 'cache-control,no-store,X-Frame-Options,DENY'],
    [{ path: '/one?q' }, 'cache-control,no-store,X-Frame-Options,DENY,x-exact,1'],
    [{ path: '/pages/a' }, 'cache-control,no-store,X-Frame-Options,DENY,link,</a.css>; rel=preload'],
    [{ path: '/x.js' }, 'X-Frame-Options,DENY,cache-control,max-age=60'],
    [
      { scheme: 'https' },
      'cache-control,no-store,X-Frame-Options,DENY,strict-transport-security,max-age=31536000; includeSubDomains; preload',
    ],
  ]
  for (const [facts, expected] of table)
    assert.equal(rules.headers(given, { ...asked, ...facts }).join(), expected, JSON.stringify(facts))
  assert.equal(given.length, 8)
  const none = compileSiteRules({ hsts: { maxAge: 1 } }, { httpsPort: undefined })
  assert.equal(none.headers(given, asked), given)
})

test('stars match in order, without overlap', () => {
  const table: [string, string, boolean][] = [
    ['/a*a', '/a', false],
    ['/a*a', '/aa', true],
    ['*', '/x', true],
    ['/*/b/*', '/a/b/c', true],
    ['/*/b/*', '/b/c', false],
    ['/*.css', '/a/b.css', true],
    ['/*a*b*c', '/xaxbxc', true],
    ['/*a*b*c', '/xbxaxc', false],
  ]
  for (const [path, given, expected] of table) {
    const rules = compileSiteRules(
      { headers: [{ action: 'set', name: 'x', value: '1', path }] },
      { httpsPort: undefined },
    )
    assert.equal(rules.headers([], { ...asked, path: given }).length > 0, expected, `${path} ${given}`)
  }
})

test('a policy that cannot be kept is refused by name', () => {
  const table: [AnswerPolicy, RegExp | undefined][] = [
    [{}, undefined],
    [{ redirects: [{ from: '/a/*', to: 'https://b.example/:splat', status: 301 }] }, undefined],
    [{ hsts: { maxAge: -1 } }, /hsts.maxAge/],
    [{ hsts: { maxAge: 60, preload: true } }, /hsts.preload/],
    [{ redirects: [{ from: 'a', to: '/b', status: 301 }] }, /redirects\[0\]\.from/],
    [{ redirects: [{ from: '/a?b', to: '/b', status: 301 }] }, /without query/],
    [{ redirects: [{ from: '/a*', to: '/b', status: 301 }] }, /star/],
    [{ redirects: [{ from: '/a', to: '//b.example', status: 301 }] }, /\.to/],
    [{ redirects: [{ from: '/a/*', to: 'https://:splat/', status: 301 }] }, /\.to/],
    [{ redirects: [{ from: '/a', to: 'javascript:x', status: 301 }] }, /\.to/],
    [{ redirects: [{ from: '/a', to: '/:splat', status: 301 }] }, /no star/],
    [{ redirects: [{ from: '/a', to: '/b\r\nx: y', status: 301 }] }, /\.to/],
    [{ redirects: [{ from: '/a', to: '/a', status: 301 }] }, /itself/],
    [{ redirects: [{ from: '/a', to: '/b', status: 300 as 301 }] }, /status is 300/],
    [{ headers: [{ action: 'set', name: 'a b', value: '' }] }, /field name/],
    [{ headers: [{ action: 'remove', name: 'Content-Length' }] }, /edge itself/],
    [{ headers: [{ action: 'set', name: 'a', value: 'b\nc' }] }, /field value/],
    [{ headers: [{ action: 'set', name: 'a', value: 'b', path: 'x' }] }, /slash or a star/],
    [{ headers: Array(101).fill({ action: 'remove', name: 'a' }) }, /at most 100/],
  ]
  for (const [policy, expected] of table) {
    const problems = answerPolicyProblems(policy, defaultLimits).join('\n')
    if (expected === undefined) assert.equal(problems, '')
    else assert.match(problems, expected)
  }
})
