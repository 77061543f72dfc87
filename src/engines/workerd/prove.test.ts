import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import type { Sealed } from '#/core/snapshot.ts'
import { makeDeployment, storeBlob, type TestProgram, testBlobs } from './programs-for-tests.ts'
import { createProver } from './prove.ts'

const folder = mkdtempSync(join(tmpdir(), 'rw-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const prove = createProver({
  folder,
  blobs: testBlobs,
  open: (sealed) => sealed,
  objectsOf: (name) => (name === 'other' ? [{ className: 'Room', key: 'room-key', storage: 'sqlite' }] : undefined),
  limits: { ...defaultLimits, programStartMs: 300, cellStartMs: 700 },
})
const objects = [{ className: 'Counter', key: 'counter-key', storage: 'sqlite' as const }]
const wasm = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)

const good: [string, TestProgram, unknown][] = [
  [
    'modules of every kind and every kind of export',
    {
      modules: {
        'src/main.js': `import { DurableObject, WorkerEntrypoint, WorkflowEntrypoint } from 'cloudflare:workers'
import text from './a.txt'; import data from '../b.bin'; import json from '../c.json'; import wasm from '../d.wasm'; import cjs from '../e.cjs'
if (text !== 'é"\\\\' || data.byteLength !== 3 || json.a !== 1 || !(wasm instanceof WebAssembly.Module) || cjs !== 7) throw new Error('module')
export class Counter extends DurableObject { fetch() {} }
export class Admin extends WorkerEntrypoint { fetch() {} hello() {} }
export class Flow extends WorkflowEntrypoint { run() {} }
export default { fetch() {}, scheduled() {} }`,
        'src/a.txt': 'é"\\',
        'b.bin': Uint8Array.of(0, 255, 10),
        'c.json': '{"a":1}',
        'd.wasm': wasm,
        'e.cjs': 'module.exports = 7',
      },
    },
    [
      { name: 'Admin', kind: 'entrypoint', handlers: ['fetch'] },
      { name: 'Counter', kind: 'object', handlers: ['fetch'] },
      { name: 'Flow', kind: 'workflow', handlers: [] },
      { name: 'default', kind: 'handlers', handlers: ['fetch', 'scheduled'] },
    ],
  ],
  [
    'a service-worker script',
    {
      syntax: 'script',
      modules: {
        'w.js': `addEventListener('fetch', (e) => e.respondWith(new Response(TOKEN)))\nif (TOKEN !== 'a\\nb') throw 1; if (!(CODE instanceof WebAssembly.Module)) throw 2`,
      },
      bindings: [
        { kind: 'secret', name: 'TOKEN', sealed: 'a\nb' as Sealed },
        { kind: 'blob', name: 'CODE', type: 'wasm', blob: storeBlob(wasm).blob },
        { kind: 'blob', name: 'BYTES', type: 'data', blob: storeBlob(wasm).blob },
      ],
    },
    [{ name: 'default', kind: 'handlers', handlers: ['fetch'] }],
  ],
  [
    'every kind of binding, with others out of reach',
    {
      modules: {
        'main.js': `import { DurableObject } from 'cloudflare:workers'; import fs from 'node:fs'
export class Counter extends DurableObject {}
export default { fetch() {} }`,
      },
      flags: ['nodejs_compat'],
      bindings: [
        { kind: 'text', name: 'T', text: '"\\\u0000é' },
        { kind: 'json', name: 'J', json: '{"a":[1]}' },
        { kind: 'kv', name: 'KV', store: 'k1' },
        { kind: 'version', name: 'V' },
        { kind: 'program', name: 'S', program: 'other', entrypoint: 'X', props: '{"a":1}' },
        { kind: 'program', name: 'SELF', program: 'shop' },
        { kind: 'objects', name: 'C', className: 'Counter' },
        { kind: 'objects', name: 'R', className: 'Room', program: 'other' },
      ],
    },
    undefined,
  ],
]

for (const [name, program, exports] of good)
  test(`proven: ${name}`, async () => {
    const uses = JSON.stringify(program).includes('Counter') ? objects : []
    const proof = await prove({ name: 'shop', objects: uses }, makeDeployment(program))
    assert.ok(proof.ok, JSON.stringify(proof))
    if (exports !== undefined)
      assert.deepEqual(
        [...proof.exports].sort((a, b) => (a.name < b.name ? -1 : 1)),
        exports,
      )
    assert.ok(proof.startupMs > 0)
  })

const bad: [string, Partial<TestProgram> & { main: string }, object][] = [
  [
    'syntax error',
    { main: 'export default {\n fetch( { return } }' },
    { message: /SyntaxError: Unexpected token 'return'/, module: 'main.js', line: 2, column: 10 },
  ],
  [
    'throws at start',
    { main: `const a = 1\nfunction b() { throw new TypeError('at start') }\nb()\nexport default {}` },
    { message: /TypeError: at start/, module: 'main.js', line: 2, column: 22 },
  ],
  [
    'missing module',
    { main: `import './nope.js'\nexport default {}` },
    { message: /No such module "nope.js"/, module: 'main.js' },
  ],
  [
    'Node module without the flag',
    { main: `import 'node:fs'\nexport default {}`, date: '2024-01-01' },
    { message: /No such module "node:fs"/, module: 'main.js' },
  ],
  [
    'newer date',
    { main: 'export default {}', date: '2027-06-01' },
    { message: /date 2027-06-01 is newer than this node knows; the newest it supports is \d/ },
  ],
  ['malformed date', { main: 'export default {}', date: 'soon' }, { message: /Invalid compatibility date: soon/ }],
  [
    'unknown flag',
    { main: 'export default {}', flags: ['nope_flag'] },
    { message: /No such compatibility flag: nope_flag/ },
  ],
  [
    'experimental flag',
    { main: 'export default {}', flags: ['unsafe_module'] },
    { message: /flag unsafe_module is experimental/ },
  ],
  [
    'contradictory flags',
    { main: 'export default {}', flags: ['nodejs_compat', 'no_nodejs_compat'] },
    { message: /contradictory/ },
  ],
  ['endless loop', { main: 'for (;;) {}' }, { message: /global scope did not end within 300 ms/ }],
  [
    'promise without end',
    { main: 'await new Promise(() => {})' },
    { message: /Top-level await in module is unsettled/ },
  ],
  [
    'request at start',
    { main: `await fetch('http://x')` },
    { message: /Disallowed operation called within global scope/, line: 1 },
  ],
  [
    'traces told to a script',
    { main: `var a = 1\naddEventListener('tail', () => {})`, syntax: 'script' },
    {
      message: /in service-worker syntax is not told of tail events: export tail\(\) from an ES module/,
      line: 2,
      column: 1,
    },
  ],
  ['no events', { main: 'var a = 1', syntax: 'script' }, { message: /No event handlers were registered/ }],
  [
    'script that throws',
    { main: `addEventListener('fetch', () => {})\nfoo()`, syntax: 'script' },
    { message: /foo is not defined/, module: 'main.js', line: 2, column: 1 },
  ],
  [
    'script with syntax error on its first line',
    { main: `addEventListener('fetch', () => {}; foo(`, syntax: 'script' },
    { message: /SyntaxError/, module: 'main.js', line: 1, column: 33 },
  ],
]

for (const [name, { main, ...rest }, expected] of bad)
  test(`refused: ${name}`, async () => {
    const proof = await prove({ name: 'shop', objects: [] }, makeDeployment({ modules: { 'main.js': main }, ...rest }))
    assert.ok(!proof.ok)
    const { message, ...place } = expected as { message: RegExp }
    assert.match(proof.message, message)
    assert.partialDeepStrictEqual(proof, place)
    assert.doesNotMatch(proof.message, /program:|workerd\/|service /)
  })

test('refused: a class that migrations made and the program does not export', async () => {
  const proof = await prove({ name: 'shop', objects }, makeDeployment({ modules: { 'main.js': 'export default {}' } }))
  assert.ok(!proof.ok)
  assert.match(proof.message, /exports no such class/)
})

test('a wasm module that does not compile is refused', async () => {
  const modules = { 'main.js': `import w from './w.wasm'\nexport default {}`, 'w.wasm': 'bad!' }
  const proof = await prove({ name: 'shop', objects: [] }, makeDeployment({ modules }))
  assert.ok(!proof.ok)
  assert.match(proof.message, /CompileError/)
})

test('nothing stays behind', () => assert.deepEqual(readdirSync(folder), []))
