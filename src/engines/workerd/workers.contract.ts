/** How Workers behave, as a table: run for shared cells and for cells of their own. */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { Binding } from '#/core/snapshot.ts'
import { bodyText, plain, type Stage, type StagedProgram } from './engine-stage.ts'

interface Case {
  readonly what: string
  /** Body of `fetch(request, env, ctx)`. */
  readonly fetch?: string
  /** Or the whole program. */
  readonly modules?: StagedProgram['modules']
  readonly bindings?: readonly Binding[]
  readonly date?: string
  readonly flags?: readonly string[]
  readonly others?: readonly StagedProgram[]
  /** What Compute programs do. */
  readonly calls?: Stage['callProgram']
  readonly path?: string
  readonly request?: Partial<ProgramRequest>
  /** Body text, or what to check; for an `EdgeError` its code. */
  readonly expect: string | RegExp | ((answer: ProgramAnswer, text: string) => void)
  readonly fails?: string
}

const kv: Binding = { kind: 'kv', name: 'KV', store: 's' }
const callee = (fetch: string, more = ''): StagedProgram => ({
  name: 'callee',
  modules: {
    'main.js': `import { WorkerEntrypoint, RpcTarget } from 'cloudflare:workers'
      export default { async fetch(request, env, ctx) { ${fetch} } }
      ${more}`,
  },
})
const wasm: StagedProgram = { name: 'wasm', modules: {}, compute: true }
const say = (expression: string) => `return new Response(String(${expression}))`
const json = (expression: string) => `return Response.json(${expression})`

export const workersCases: readonly Case[] = [
  { what: 'answers', fetch: say("'hello'"), expect: 'hello' },
  {
    what: 'sees the URL, method and exactly the headers that were sent',
    fetch: json('[request.method, request.url, [...request.headers]]'),
    path: '/a%20b?c=1',
    request: { headers: ['X-One', '1', 'rimward-program', 'forged', 'Rimward-Proto', 'http'] },
    expect: '["GET","https://p.example/a%20b?c=1",[["host","p.example"],["x-one","1"]]]',
  },
  { what: 'sees request.cf', fetch: json('request.cf'), expect: '{"colo":"TST"}' },
  {
    what: 'sets status and headers, several cookies too',
    fetch:
      "const h = new Headers([['set-cookie','a=1'],['set-cookie','b=2']]); return new Response(null,{status:418,headers:h})",
    expect(answer) {
      assert.equal(answer.status, 418)
      assert.equal(answer.headers.filter((part) => /set-cookie/i.test(part)).length, 2)
    },
  },
  {
    what: 'reads a streamed request body and streams it back',
    fetch: 'return new Response(request.body)',
    request: { method: 'POST', body: Readable.from([Buffer.from('one '), Buffer.from('two')]) },
    expect: 'one two',
  },
  {
    what: 'imports text, data, JSON, CommonJS and Wasm modules',
    modules: {
      'main.js': `import text from './a.txt'; import data from './b.bin'; import value from './c.json'
        import common from './d.cjs'; import wasm from './e.wasm'
        export default { fetch() { return Response.json([text, data.byteLength, value, common.two, wasm instanceof WebAssembly.Module]) } }`,
      'a.txt': 'text',
      'b.bin': new Uint8Array([255, 0, 1]),
      'c.json': '{"a":1}',
      'd.cjs': 'exports.two = 2',
      'e.wasm': new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]),
    },
    expect: '["text",3,{"a":1},2,true]',
  },
  {
    what: 'has its variables, JSON, secrets and version',
    fetch: json('[env.T, env.J, env.S, env.V]'),
    bindings: [
      { kind: 'text', name: 'T', text: 'text' },
      { kind: 'json', name: 'J', json: '{"a":[1]}' },
      { kind: 'secret', name: 'S', sealed: 'sealed hush' },
      { kind: 'version', name: 'V' },
    ],
    expect:
      /^\["text",\{"a":\[1\]\},"hush",\{"id":"[0-9a-f-]{36}","tag":"v1","timestamp":"2023-11-14T22:13:20.000Z"\}\]$/,
  },
  {
    what: 'KV keeps values of every type, with metadata',
    fetch: `await env.KV.put('a', 'text', { metadata: { e: 'é' } }); await env.KV.put('b', new Uint8Array([1,2,3]))
      await env.KV.put('c', new Response('{"x":1}').body); await env.KV.put('..%2F/é', 'odd')
      const { value, metadata } = await env.KV.getWithMetadata('a')
      return Response.json([value, metadata, (await env.KV.get('b', 'arrayBuffer')).byteLength, await env.KV.get('c', { type: 'json' }),
        await new Response(await env.KV.get('c', 'stream')).text(), await env.KV.get('..%2F/é'), await env.KV.get('none'), [...await env.KV.get(['a','none'])]])`,
    bindings: [kv],
    expect: '["text",{"e":"é"},3,{"x":1},"{\\"x\\":1}","odd",null,[["a","text"],["none",null]]]',
  },
  {
    what: 'KV lists with prefix, cursor and limit, and deletes',
    fetch: `for (const n of [1,2,3]) await env.KV.put('k'+n, '', { metadata: n }); await env.KV.put('x', ''); await env.KV.delete('k2')
      const one = await env.KV.list({ prefix: 'k', limit: 1 }), two = await env.KV.list({ prefix: 'k', cursor: one.cursor })
      return Response.json([one.keys, one.list_complete, two.keys, two.list_complete])`,
    bindings: [{ ...kv, store: 'list' }],
    expect: '[[{"name":"k1","metadata":1}],false,[{"name":"k3","metadata":3}],true]',
  },
  {
    what: "KV refuses in Cloudflare's words",
    fetch: `const told = []; const t = async (f) => { try { await f() } catch (e) { told.push(e.message) } }
      await t(() => env.KV.get('x'.repeat(600))); await t(() => env.KV.get('')); await t(() => env.KV.put('a', 'b', { expirationTtl: 5 }))
      await t(() => env.KV.list({ limit: 5000 }));
      return Response.json(told)`,
    bindings: [kv],
    expect:
      /^\["KV GET failed: 414 UTF-8 encoded length of 600 exceeds key length limit of 512\.","Key name cannot be empty\.","KV PUT failed: 400 Invalid expiration_ttl of 5\. Expiration TTL must be at least 60\.","KV GET failed: 400 Invalid key_count_limit of 5000\./,
  },
  {
    what: 'has its bindings with an old compatibility date too',
    fetch: `await env.KV.put('o', '1'); ${say("await env.KV.get('o')")}`,
    bindings: [kv],
    date: '2022-01-01',
    expect: '1',
  },
  {
    what: 'has its assets',
    fetch: "return env.A.fetch('https://x.example:8443/logo.png?1')",
    bindings: [{ kind: 'assets', name: 'A' }],
    expect: 'file GET x.example/logo.png?1',
  },
  {
    what: 'reaches the outside through the egress',
    fetch: "return fetch('https://out.example/x?y')",
    expect: 'outside https://out.example/x?y',
  },
  {
    what: 'calls another program: fetch',
    fetch: "return env.B.fetch('https://in/x', { method: 'POST', body: 'b' })",
    bindings: [{ kind: 'program', name: 'B', program: 'callee' }],
    others: [callee('return new Response(request.method + request.url + await request.text())')],
    expect: 'POSThttps://in/xb',
  },
  {
    what: 'calls another program: RPC with props, functions and returned objects',
    fetch: `const counter = await env.B.counter(3); await counter.add(4)
      return Response.json([await env.B.sum(1, 2), await counter.value(), await env.B.call((x) => x * 2), await env.B.who()])`,
    bindings: [{ kind: 'program', name: 'B', program: 'callee', entrypoint: 'Api', props: '{"who":"p"}' }],
    others: [
      callee(
        'return new Response()',
        `class Counter extends RpcTarget { #n; constructor(n) { super(); this.#n = n } add(x) { this.#n += x } value() { return this.#n } }
        export class Api extends WorkerEntrypoint { sum(a, b) { return a + b } counter(n) { return new Counter(n) } call(f) { return f(21) } who() { return this.ctx.props.who } }`,
      ),
    ],
    expect: '[3,7,42,"p"]',
  },
  {
    what: 'calls a Compute program: method, URL, fields and a streamed body there and back',
    fetch: `const { readable, writable } = new TransformStream(); const writer = writable.getWriter()
      const going = (async () => { await writer.write(new TextEncoder().encode('one ')); await writer.write(new TextEncoder().encode('two')); await writer.close() })()
      const answer = await env.B.fetch('https://in.example/x?y', { method: 'POST', body: readable, headers: { 'X-A': 'b', 'CF-Connecting-IP': '192.0.2.7', 'Rimward-Id': 'forged' } })
      await going
      return Response.json([answer.status, answer.headers.getSetCookie(), answer.headers.get('rimward-failed'), await answer.text()])`,
    bindings: [{ kind: 'program', name: 'B', program: 'wasm' }],
    others: [wasm],
    calls: async (name, { method, url, headers, body, client }) => ({
      status: 201,
      headers: ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Rimward-Failed', 'said by the program'],
      body: Readable.from([
        `${name} ${method} ${url} ${headers[headers.indexOf('X-A') + 1]} ${client} `,
        ...(await (body as Readable).toArray()),
      ]),
    }),
    expect: '[201,["a=1","b=2"],null,"wasm POST https://in.example/x?y b 192.0.2.7 one two"]',
  },
  {
    what: 'a redirect of a Compute program comes as it is',
    fetch: `const answer = await env.B.fetch('http://in/x', { redirect: 'manual' }); return Response.json([answer.status, answer.headers.get('location')])`,
    bindings: [{ kind: 'program', name: 'B', program: 'wasm' }],
    others: [wasm],
    calls: async () => ({ status: 302, headers: ['location', '/elsewhere'], body: null }),
    expect: '[302,"/elsewhere"]',
  },
  {
    what: 'a failure of a Compute program reaches its caller',
    fetch: 'try { return await env.B.fetch(request) } catch (error) { return new Response(error.message) }',
    bindings: [{ kind: 'program', name: 'B', program: 'wasm' }],
    others: [wasm],
    calls: async () => {
      throw new EdgeError('program_loop', 'The request goes round in a circle.')
    },
    expect: 'Service binding to wasm: The request goes round in a circle.',
  },
  {
    what: 'RPC and entrypoints of a Compute program are refused by name',
    fetch: `const told = []; const t = async (f) => { try { await f() } catch (e) { told.push(e.name + ' ' + e.message) } }
      await t(() => env.B.greet('x')); await t(() => env.C.fetch('https://x/')); return Response.json(told)`,
    bindings: [
      { kind: 'program', name: 'B', program: 'wasm' },
      { kind: 'program', name: 'C', program: 'wasm', entrypoint: 'Api' },
    ],
    others: [wasm],
    expect:
      /^\["TypeError [^"]*wasm: a Compute program has no method greet\(\), only[^"]*","TypeError [^"]*no entrypoint Api, /,
  },
  {
    what: 'waitUntil goes on after the answer',
    fetch: `if (request.url.endsWith('/read')) { for (;;) { const v = await env.KV.get('w'); if (v) return new Response(v); await scheduler.wait(5) } }
      ctx.waitUntil((async () => { await scheduler.wait(10); await env.KV.put('w', 'later') })())
      return env.SELF.fetch('https://x/read')`,
    bindings: [kv, { kind: 'program', name: 'SELF', program: 'p' }],
    expect: 'later',
  },
  {
    what: 'an exception is an error of the program, with its stack',
    fetch: "throw new TypeError('boom')",
    expect: /TypeError: boom|boom/,
    fails: 'program_exception',
  },
  {
    what: 'passThroughOnException asks the origin instead',
    fetch: "ctx.passThroughOnException(); throw new Error('boom')",
    path: '/pass',
    expect: 'outside https://p.example/pass',
  },
  {
    what: 'a syntax error is a failed start',
    modules: { 'main.js': 'export default {' },
    expect: /SyntaxError/,
    fails: 'program_start_failed',
  },
  {
    what: 'a throw at start is a failed start',
    modules: { 'main.js': "throw new Error('no')" },
    expect: /no/,
    fails: 'program_start_failed',
  },
  {
    what: 'a program with named entrypoints only is callable, and has no handler of its own',
    fetch: 'return new Response(await env.B.hi())',
    bindings: [{ kind: 'program', name: 'B', program: 'callee', entrypoint: 'Api' }],
    others: [
      {
        name: 'callee',
        modules: {
          'main.js':
            "import { WorkerEntrypoint } from 'cloudflare:workers'; export class Api extends WorkerEntrypoint { hi() { return 'hi' } }",
        },
      },
    ],
    expect: 'hi',
  },
  {
    what: 'an exception of another program reaches its caller',
    fetch: 'try { await env.B.fetch(request) } catch (error) { return new Response(error.message) }',
    bindings: [{ kind: 'program', name: 'B', program: 'callee' }],
    others: [callee("throw new Error('from below')")],
    expect: 'from below',
  },
  {
    what: 'sockets are refused by name',
    modules: {
      'main.js': `import { connect } from 'cloudflare:sockets'
        export default { async fetch() { try { const s = connect('example.com:25'); await s.opened; return new Response('open') } catch (e) { return new Response(e.message) } } }`,
    },
    expect: /connect|Sockets|proxy/i,
  },
  {
    what: 'nodejs_compat',
    modules: {
      'main.js':
        "import { createHash } from 'node:crypto'; export default { fetch: () => new Response(createHash('md5').update('a').digest('hex')) }",
    },
    flags: ['nodejs_compat'],
    expect: '0cc175b9c0f1b6a831c399e269772661',
  },
  {
    what: 'HTMLRewriter',
    fetch:
      "return new HTMLRewriter().on('b', { element(e) { e.setInnerContent('new') } }).transform(new Response('<b>old</b>'))",
    expect: '<b>new</b>',
  },
]

/** Registers one test a case. `placement` is told in the test's name. */
export function workersContract(placement: string, open: () => Promise<Stage>): void {
  test(`Workers behave, ${placement}`, async (suite) => {
    const stage = await open()
    stage.egress = async ({ url }) => plain(200, `outside ${url}`)
    try {
      for (const row of workersCases) await suite.test(row.what, { timeout: 10_000 }, () => check(stage, row))
    } finally {
      await stage.close()
    }
  })
}

async function check(stage: Stage, row: Case): Promise<void> {
  for (const other of row.others ?? []) await stage.add(other)
  if (row.calls !== undefined) stage.callProgram = row.calls
  const modules = row.modules ?? { 'main.js': `export default { async fetch(request, env, ctx) { ${row.fetch} } }` }
  const { bindings = [], date = '2026-01-01', flags = [] } = row
  await stage.add({ name: 'p', modules, bindings, date, flags })
  const pending = stage.fetch('p', row.path ?? '/', row.request)
  if (row.fails !== undefined) {
    await assert.rejects(pending, (error: unknown) => {
      assert.ok(error instanceof EdgeError, String(error))
      assert.equal(error.code, row.fails, error.message)
      assert.match(`${error.message}\n${error.cause}`, row.expect as RegExp)
      return true
    })
    return
  }
  const answer = await pending
  const text = await bodyText(answer)
  if (typeof row.expect === 'function') row.expect(answer, text)
  else if (typeof row.expect === 'string') assert.equal(text, row.expect)
  else assert.match(text, row.expect)
}
