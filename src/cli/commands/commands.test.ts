import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultDataFolder, findDataFolder } from '../data-folder.ts'
import { oneOf, parseAddress, parsePercent, parsePops } from '../parse-flags.ts'
import { table } from '../terminal.ts'
import { pathForWrangler, shellQuote } from './env.ts'
import { prettyLog } from './logs.ts'
import { describeCopies } from './pops.ts'
import { waitForSignal } from './up.ts'

test('addresses and points of presence', () => {
  assert.deepEqual(parseAddress('--http', '[::1]:80'), { host: '::1', port: 80 })
  assert.deepEqual(parseAddress('--http', 'localhost:0'), { host: 'localhost', port: 0 })
  for (const bad of [
    '',
    ':80',
    'host',
    'host:',
    'host:-1',
    'host:65536',
    '::1:80',
    '[nonsense]:80',
    'a b:80',
    'host:80:90',
  ]) {
    assert.throws(() => parseAddress('--http', bad), /--http takes HOST:PORT/, bad)
  }
  assert.deepEqual(parsePops('fra:DE'), [{ id: 'fra', country: 'DE' }])
  assert.deepEqual(parsePops('local'), [{ id: 'local' }])
  assert.deepEqual(parsePops('fra:DE, iad'), [{ id: 'fra', country: 'DE' }, { id: 'iad' }])
  const many = Array.from({ length: 17 }, (_, index) => `p${index}`).join(',')
  for (const bad of ['', 'FRA', 'fra:', 'fra:de', 'fra:DEU', '1a', 'a,', 'a,,b', 'a,b,a:DE', many])
    assert.throws(() => parsePops(bad), /--pops/, bad)
})

test('the data folder is the one named, or the nearest .rimward above', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'rimward-find-'))
  t.after(() => rmSync(root, { recursive: true }))
  const worker = join(root, 'workers/one')
  mkdirSync(worker, { recursive: true })
  assert.equal(findDataFolder(worker, defaultDataFolder), join(worker, '.rimward'), 'none at all: the one to be made')
  mkdirSync(join(root, '.rimward'))
  assert.equal(findDataFolder(worker, defaultDataFolder), join(root, '.rimward'))
  assert.equal(findDataFolder(worker, 'data'), join(worker, 'data'), 'who names a folder means it')
  mkdirSync(join(worker, '.rimward'))
  assert.equal(findDataFolder(worker, defaultDataFolder), join(worker, '.rimward'))
})

test('percentages and words', () => {
  assert.equal(parsePercent('--log-sample', '0.5%'), 0.5)
  for (const bad of ['', '-1', '101', 'half', '1e2'])
    assert.throws(() => parsePercent('--log-sample', bad), /from 0 to/)
  assert.equal(oneOf('--log', 'off', ['file', 'off']), 'off')
  assert.throws(() => oneOf('--log', 'disk', ['file', 'stderr', 'off']), /takes file, stderr or off; got "disk"/)
})

test('a shell reads back what was quoted', () => {
  for (const text of ['plain', "it's", '$(touch x)', 'a b', '`id`', '"', '\\', '']) {
    assert.equal(execFileSync('sh', ['-c', `printf %s ${shellQuote(text)}`], { encoding: 'utf8' }), text)
  }
})

test('a shell whose Node is too old for wrangler gets ours', () => {
  const majors = (folder: string) => ({ '/old': 20, '/new': 24, '/app/node_modules/.bin': 26 })[folder]
  const cases: readonly [path: string, expected: string | undefined][] = [
    ['/new:/old', undefined],
    ['/usr/bin:/new', undefined],
    ['/old:/new', '/own:/old:/new'],
    ['/app/node_modules/.bin:/npm/node-gyp-bin:/old', '/own:/old'],
    ['/app/node_modules/.bin:/new', undefined],
    ['/usr/bin', '/own:/usr/bin'],
  ]
  for (const [path, expected] of cases) assert.equal(pathForWrangler(path, '/own', majors), expected, path)
})

test('log lines for people', () => {
  const line = {
    outcome: 'exception',
    eventTimestamp: 3_600_000,
    event: { request: { method: 'GET', url: 'http://hello.localhost/' }, response: { status: 500 } },
    logs: [{ level: 'log', message: ['hi\u001b[2J', { a: 1 }] }],
    exceptions: [{ name: 'Error', message: 'broken', stack: 'Error: broken\n    at index.js:1:1' }],
  }
  assert.deepEqual(prettyLog(line), [
    '01:00:00.000 GET http://hello.localhost/ → 500 exception',
    '  (log) hi\\x1b[2J {"a":1}',
    '  ✘ Error: broken\n    at index.js:1:1',
  ])
  // workerd also sends stacks without the line that names the error.
  const bare = { name: 'TypeError', message: 'no', stack: '    at index.js:1:1' }
  assert.deepEqual(prettyLog({ outcome: 'exception', eventTimestamp: 0, event: {}, exceptions: [bare] }), [
    '- event → exception',
    '  ✘ TypeError: no\n    at index.js:1:1',
  ])
  const output = { requestId: 'r1' }
  const written = {
    outcome: 'ok',
    eventTimestamp: 0,
    event: { output },
    logs: [{ message: ['a\u001b[2Jb'], level: 'stderr' }],
  }
  assert.deepEqual(prettyLog(written), ['- r1 (stderr) a\\x1b[2Jb'])
  assert.deepEqual(prettyLog({ outcome: 'ok', eventTimestamp: 0, event: { cron: '* * * * *' } }), [
    '- cron * * * * * →',
  ])
  assert.match(prettyLog({ dropped: 3 })[0]!, /3 lines were dropped/)
})

test('of all copies the stream that lacks most is told, and which servers lack something', () => {
  const of = (stream: string, copies: number, behind: string[] = []) => {
    return { stream, copies, current: copies - behind.length, behind }
  }
  assert.deepEqual(describeCopies([]), [])
  assert.deepEqual(describeCopies([of('in-de', 1), of('r', 3), of('blobs', 3)]), ['copies: 3 of 3 current'])
  assert.deepEqual(describeCopies([of('r', 3, ['b']), of('blobs', 3, ['b', 'a']), of('in-de', 1)]), [
    'copies: 1 of 3 current; not on a, b: take no other NATS server down yet',
  ])
})

test('columns', () => {
  assert.deepEqual(
    table([
      ['NAME', 'X'],
      ['longer', 'y'],
    ]),
    ['NAME    X', 'longer  y'],
  )
})

test('a signal counts once however often the terminal, npx and a parent pass it on; a later one exits', async () => {
  const listeners: (() => void)[] = []
  const exits: unknown[] = []
  let time = 0
  const fake = {
    pid: 1,
    on: (_name: string, listener: () => void) => listeners.push(listener),
    exit: (code: unknown) => exits.push(code),
  } as unknown as NodeJS.Process
  const signalled = waitForSignal({ process: fake, now: () => time })
  listeners[0]!()
  await signalled
  time = 200
  listeners[1]!()
  assert.deepEqual(exits, [])
  time = 1_000
  listeners[0]!()
  assert.deepEqual(exits, [1])
})
