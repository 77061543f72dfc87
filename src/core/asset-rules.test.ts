import assert from 'node:assert/strict'
import { test } from 'node:test'
import { compileHeaderRules, parseHeaderRules } from './asset-headers.ts'
import { compilePattern, patternFault } from './asset-pattern.ts'
import { compileRedirects, parseRedirects } from './asset-redirects.ts'
import { programFirst, routeFirst, routingFaults } from './asset-routing.ts'

test('patterns match as the vendor documents them', () => {
  const table: [string, string, Record<string, string> | undefined][] = [
    ['/a', '/a', {}],
    ['/a', '/a/', undefined],
    ['/*', '/x/y', { splat: 'x/y' }],
    ['/blog/*', '/blog/', { splat: '' }],
    ['/blog/:post', '/blog/hello', { post: 'hello' }],
    ['/blog/:post', '/blog/', undefined],
    ['/blog/:post', '/blog/a/b', undefined],
    ['/:a/x/:b', '/1/x/2', { a: '1', b: '2' }],
    ['/:a-:b', '/1-2-3', { a: '1-2', b: '3' }],
    ['/*/end', '/a/b/end', { splat: 'a/b' }],
    ['https://:project.pages.dev/*', 'https://my.pages.dev/x', { project: 'my', splat: 'x' }],
    ['https://:project.pages.dev/*', 'https://a.b.pages.dev/x', undefined],
    ['/a+(b)', '/a+(b)', {}],
  ]
  for (const [pattern, text, expected] of table) {
    const found = compilePattern(pattern, { named: true })(text)
    assert.deepEqual(found && Object.fromEntries(found), expected, `${pattern} ${text}`)
  }
})

test('a pattern that makes regular expressions backtrack takes no time', () => {
  const match = compilePattern(`/${Array.from({ length: 12 }, (_, index) => `:p${index}`).join('-')}!`, { named: true })
  const before = process.cpuUsage().user
  assert.equal(match(`/${'-'.repeat(16_000)}`), undefined)
  assert.ok(process.cpuUsage().user - before < 1_000_000)
})

test('patterns that cannot work are refused', () => {
  assert.match(patternFault('/*/a/*') ?? '', /Only one wildcard/)
  assert.match(patternFault('/*/:splat') ?? '', /Only one wildcard/)
  assert.match(patternFault('/:a/:a') ?? '', /used twice/)
  assert.match(patternFault(`/${':a/'.repeat(17)}`) ?? '', /At most 16/)
  assert.equal(patternFault('/:a/*'), undefined)
})

test('_redirects', () => {
  const text = [
    '# comment',
    '/old /new 301',
    '/query /new?a=1#top',
    '/blog/* /posts/:splat 308 # moved',
    '/u/:id /user/:id 200',
    '/ext/* https://example.com/:splat 307',
    '/static /after 303',
  ].join('\n')
  const { rules, faults } = parseRedirects(text, 'auto-trailing-slash')
  assert.deepEqual(faults, [])
  const find = compileRedirects(rules)
  const shown = (path: string) => {
    const found = find(path)
    return found && `${found.status} ${found.to}`
  }
  assert.equal(shown('/old'), '301 /new')
  assert.equal(shown('/query'), '302 /new?a=1#top')
  assert.equal(shown('/blog/a/b'), '308 /posts/a/b')
  assert.equal(shown('/blog//evil.example'), '308 /posts/evil.example')
  assert.equal(shown('/u/7'), '200 /user/7')
  assert.equal(shown('/ext/a'), '307 https://example.com/a')
  assert.equal(shown('/static'), '303 /after')
  assert.equal(shown('/none'), undefined)
})

test('_redirects: every line that cannot be used is named', () => {
  const lines: [string, RegExp][] = [
    ['/only-one', /2 or 3 tokens/],
    ['/a /b 404', /Valid status codes/],
    ['/a /b 301 extra', /got 4/],
    ['https://example.com/a /b', /Only relative/],
    ['/a b', /begin with a slash/],
    ['/a http://example.com', /begin with a slash or with https/],
    ['/p https://example.com/ 200', /Proxy \(200\)/],
    ['/* /index.html 200', /Infinite loop/],
    ['/ /index', /Infinite loop/],
    ['/*/x/* /y', /Only one wildcard/],
    [`/long ${'x'.repeat(2000)}`, /Longer than/],
  ]
  const { rules, faults } = parseRedirects(lines.map(([line]) => line).join('\n'), 'auto-trailing-slash')
  assert.deepEqual(rules, [])
  assert.equal(faults.length, lines.length)
  for (const [index, [line, message]] of lines.entries()) {
    assert.equal(faults[index]!.line, index + 1)
    assert.match(faults[index]!.message, message, line)
  }
  assert.deepEqual(parseRedirects('/ /index.html', 'none').faults, [])
  assert.match(parseRedirects('/a /b\n/a /c', 'none').faults[0]!.message, /stands above/)
  const many = (rule: (index: number) => string, count: number) =>
    parseRedirects(Array.from({ length: count }, (_, index) => rule(index)).join('\n'), 'none')
  assert.equal(many((index) => `/${index} /x`, 2001).faults[0]!.line, 2001)
  assert.equal(many((index) => `/${index}/* /x`, 101).faults[0]!.line, 101)
})

test('_headers', () => {
  const text = `
/*
  X-A: one
  Cache-Control: no-store
/secret/:name
  X-A: two
  X-Name: :name
  ! etag
https://:host.example.com/*
  X-Host: :host
`
  const { rules, faults } = parseHeaderRules(text)
  assert.deepEqual(faults, [])
  const patch = compileHeaderRules(rules)
  const headers = ['ETag', '"x"', 'cache-control', 'public']
  patch('www.example.com', '/secret/y', headers)
  assert.deepEqual(headers, ['x-a', 'one', 'cache-control', 'no-store', 'x-a', 'two', 'x-name', 'y', 'x-host', 'www'])
  const other = ['etag', '"x"']
  patch('example.org', '/', other)
  assert.deepEqual(other, ['etag', '"x"', 'x-a', 'one', 'cache-control', 'no-store'])
})

test('_headers: every line that cannot be used is named', () => {
  const text = [
    'x-a: before any path',
    '/ok',
    '  x-a: 1',
    '  no colon',
    '  bad name: 1',
    '  empty:',
    '  : value',
    '/empty',
    '/two/*/*',
    '  x-b: skipped',
    'https://example.com:8080/',
    'http://example.com/',
    '/ctl',
    '  x-c: a\u0001b',
  ].join('\n')
  const { rules, faults } = parseHeaderRules(text)
  assert.deepEqual(
    faults.map(({ line }) => line),
    [1, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14],
  )
  assert.equal(rules[0]!.pattern, '/ok')
  const many = Array.from({ length: 101 }, (_, index) => `/${index}\n a: b`).join('\n')
  assert.equal(parseHeaderRules(many).faults[0]!.line, 201)
})

test('run_worker_first: negative rules win, then positive ones, then the files', () => {
  const assets = { runProgramFirst: ['/api/*', '/*.php', '!/api/docs/*'] }
  const table: [string, string][] = [
    ['/api/x', 'program'],
    ['/api/docs/x', 'files'],
    ['/a/b.php?x=/api/docs/', 'program'],
    ['/x', 'undecided'],
    ['/x?/api/', 'undecided'],
    ['/x/../api/y', 'program'],
  ]
  for (const [path, expected] of table) assert.equal(routeFirst(assets, path), expected, path)
  assert.equal(programFirst(assets, '/api/x'), true)
  assert.equal(programFirst({ runProgramFirst: true }, '/'), true)
  assert.equal(programFirst({ runProgramFirst: false }, '/'), false)
})

test('run_worker_first: globs that cannot be used are named', () => {
  assert.deepEqual(routingFaults(['/api/*', '!/api/docs/*']), [])
  const table: [string[], RegExp][] = [
    [[], /No rules/],
    [['!/a'], /Only negative/],
    [['api/*'], /begin with/],
    [['/a', '!a'], /begin with/],
    [['/a', '/a'], /twice/],
    [['/a/*', '/a/b'], /redundant/],
    [[`/${'a'.repeat(100)}`], /longer/],
    [Array.from({ length: 101 }, (_, index) => `/${index}`), /at most 100/],
  ]
  for (const [globs, message] of table) assert.match(routingFaults(globs).join('\n'), message)
})
