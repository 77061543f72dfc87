import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { createEarlyHints, type HintFacts } from './early-hints.ts'

const asked: HintFacts = { method: 'GET', scheme: 'https', host: 'a.example', path: '/', headers: [] }
const css = '</a.css>; rel=preload; as=style'
const html = ['content-type', 'text/html', 'link', css]

test('what the next visitor is told ahead', () => {
  const table: [string, string[], string[] | undefined, Partial<HintFacts>?, number?][] = [
    ['preload', html, ['link', css]],
    [
      'preconnect',
      ['content-type', 'text/html', 'link', '<https://b.example>; rel="preconnect"'],
      ['link', '<https://b.example>; rel="preconnect"'],
    ],
    [
      'several in one field',
      ['content-type', 'text/html', 'link', `${css}, </next>; rel=next, </b,c.js>; rel=preload`],
      ['link', css, 'link', '</b,c.js>; rel=preload'],
    ],
    ['other relations', ['content-type', 'text/html', 'link', '</next>; rel=next'], undefined],
    ['no page', ['content-type', 'text/css', 'link', css], undefined],
    ['an error', html, undefined, {}, 404],
    ['POST', html, undefined, { method: 'POST' }],
    ['a private page', [...html, 'cache-control', 'private'], undefined],
    ['a page that sets a cookie', [...html, 'set-cookie', 'a=1'], undefined],
    ['a page behind a login', html, undefined, { headers: ['authorization', 'Basic x'] }],
    ['too much', ['content-type', 'text/html', 'link', `<${'x'.repeat(2000)}>; rel=preload`], undefined],
  ]
  for (const [what, headers, expected, facts, status] of table) {
    const hints = createEarlyHints({ limits: defaultLimits })
    hints.learn({ ...asked, ...facts }, status ?? 200, headers)
    assert.deepEqual(hints.of({ ...asked, ...facts }), expected, what)
  }
})

test('other pages and later answers', () => {
  const hints = createEarlyHints({ limits: { ...defaultLimits, earlyHintUrls: 2 } })
  hints.learn(asked, 200, html)
  assert.equal(hints.of({ ...asked, path: '/?x' }), undefined)
  assert.equal(hints.of({ ...asked, host: 'b.example' }), undefined)
  hints.learn(asked, 200, ['content-type', 'text/html'])
  assert.equal(hints.of(asked), undefined)
  for (const path of ['/1', '/2', '/3']) hints.learn({ ...asked, path }, 200, html)
  assert.equal(hints.of({ ...asked, path: '/1' }), undefined)
  assert.deepEqual(hints.of({ ...asked, path: '/3' }), ['link', css])
})

test('a long field costs no more than its length', () => {
  const hints = createEarlyHints({ limits: defaultLimits })
  const started = performance.now()
  hints.learn(asked, 200, ['content-type', 'text/html', 'link', '<'.repeat(100_000)])
  hints.learn(asked, 200, ['content-type', 'text/html', 'link', ',"'.repeat(50_000)])
  assert.ok(performance.now() - started < 500)
})
