import { differs, equal, fails, refused, until, works } from './case.js'

const code = (body, more = {}) => ({
  compatibilityDate: '2026-01-01',
  mainModule: 'main.js',
  modules: { 'main.js': `import { WorkerEntrypoint, DurableObject } from 'cloudflare:workers'; ${body}` },
  ...more,
})

export const programs = [
  works(
    'Fetcher: fetch; CloudflareWorkersModule.WorkerEntrypoint: ctx env new fetch; ExecutionContext: props exports; ExportedHandler: fetch',
    async ({ env: { NAMED }, ctx }) => {
      equal(await (await NAMED.fetch('http://named/', { method: 'PUT' })).text(), 'named PUT')
      equal([await NAMED.props(), await NAMED.bound()], [{ tenant: 'blue' }, true])
      equal(await ctx.exports.Named.add(1, 2), 3)
    },
  ),
  works('CloudflareWorkersModule.RpcStub: new; Rpc.StubBase: dup', async ({ env: { NAMED } }) => {
    using counter = await NAMED.counter()
    equal([await counter.add(2), await counter.add(3)], [2, 5])
    using again = counter.dup()
    equal(await again.add(1), 6)
    equal(await NAMED.callBack((text) => text.toUpperCase()), 'HELLO')
    equal(await NAMED.stubbed(), 'stubbed 4')
  }),
  works('RateLimit: limit; RateLimitOptions: key; RateLimitOutcome: success', async ({ env: { LIMITER } }) => {
    const key = crypto.randomUUID()
    const passed = []
    for (let time = 0; time < 7; time++) passed.push((await LIMITER.limit({ key })).success)
    equal([passed[0], passed.filter(Boolean).length <= 6, passed.at(-1)], [true, true, false])
  }),
  refused('RateLimitOptions: delta', 'by name, at the call', async ({ env: { LIMITER } }) => {
    await fails(() => LIMITER.limit({ key: 'a', delta: 2 }), /delta/)
  }),
  works('SecretsStoreSecret: get', async ({ env: { SHARED } }) => equal(await SHARED.get(), 'shared value')),
  works('WorkerVersionMetadata: id tag timestamp', async ({ env: { VERSION } }) => {
    equal([VERSION.id.length, VERSION.tag, Number.isNaN(Date.parse(VERSION.timestamp))], [36, 'table', false])
  }),
  works(
    'WorkerLoader: get load; WorkerStub: getEntrypoint; WorkerLoaderWorkerCode: compatibilityDate mainModule modules env globalOutbound',
    async ({ env: { LOADER } }) => {
      const main = code(
        'export default { fetch: (request, env) => new Response(env.WORD + new URL(request.url).pathname) }',
        { env: { WORD: 'loaded' }, globalOutbound: null },
      )
      const got = LOADER.get('one', async () => main)
      equal(await (await got.getEntrypoint().fetch('http://inside/a')).text(), 'loaded/a')
      equal(await (await LOADER.load(main).getEntrypoint().fetch('http://inside/b')).text(), 'loaded/b')
      const curious = code("export default { fetch: () => fetch('http://example.com/') }", { globalOutbound: null })
      await fails(() => LOADER.load(curious).getEntrypoint().fetch('http://inside/'), /not permitted/)
    },
  ),
  works(
    'WorkerStubEntrypointOptions: props; WorkerLoaderWorkerCode: compatibilityFlags',
    async ({ env: { LOADER } }) => {
      const named = code(
        "import { Buffer } from 'node:buffer'; export class Other extends WorkerEntrypoint { props() { return [this.ctx.props, typeof Buffer] } }",
        { compatibilityFlags: ['nodejs_compat'] },
      )
      equal(
        await LOADER.load(named)
          .getEntrypoint('Other', { props: { a: 1 } })
          .props(),
        [{ a: 1 }, 'function'],
      )
    },
  ),
  works('WorkerLoaderModule: js cjs text data json wasm', async ({ env: { LOADER } }) => {
    const wasm = Uint8Array.from(atob('AGFzbQEAAAA='), (sign) => sign.charCodeAt(0))
    const body = `import legacy from './a.cjs'; import text from './a.txt'; import data from './a.bin'; import json from './a.json'; import wasm from './a.wasm'; import { word } from './b.js'
      export default { fetch: () => Response.json([legacy.word, text, data.byteLength, json.a, wasm instanceof WebAssembly.Module, word]) }`
    const worker = code(body)
    worker.modules = {
      ...worker.modules,
      ...{
        'a.cjs': { cjs: "exports.word = 'cjs'" },
        'a.txt': { text: 'text' },
        'a.bin': { data: new Uint8Array([1, 2]).buffer },
      },
      ...{ 'a.json': { json: { a: 1 } }, 'a.wasm': { wasm: wasm.buffer }, 'b.js': { js: "export const word = 'js'" } },
    }
    equal(await (await LOADER.load(worker).getEntrypoint().fetch('http://inside/')).json(), [
      'cjs',
      'text',
      2,
      1,
      true,
      'js',
    ])
  }),
  works('WorkerStub: getDurableObjectClass', ({ env }) => env.PROBE.getByName('loaded').check('loadedClass')),
  works('DispatchNamespace: get', async ({ env: { DISPATCH } }) => {
    equal(await (await DISPATCH.get('ann').fetch('http://inside/')).text(), 'ann')
    await fails(() => DISPATCH.get('nobody').fetch('http://inside/'), /Worker not found/)
  }),
  works('Hyperdrive: connectionString host port user password database', async ({ env: { DATABASE } }) => {
    const { host, port, user, password, database, connectionString } = DATABASE
    equal([user, password, database, typeof port], ['app', 'secret', 'shop', 'number'])
    const url = new URL(connectionString)
    equal(
      [url.protocol, url.hostname, url.port, url.username, url.pathname],
      ['postgresql:', host, String(port), 'app', '/shop'],
    )
  }),
  works('Hyperdrive: connect', async ({ env: { DATABASE } }) => {
    const socket = DATABASE.connect()
    const writer = socket.writable.getWriter()
    await writer.write(new TextEncoder().encode('to the server'))
    const { value } = await socket.readable.getReader().read()
    equal(new TextDecoder().decode(value), 'to the server')
    await socket.close()
  }),
  works(
    'Socket: readable writable closed opened upgraded secureTransport close; SocketOptions: secureTransport allowHalfOpen highWaterMark; SocketAddress: hostname port; SocketInfo: remoteAddress localAddress; cloudflare:sockets._connect: ()',
    async ({ env: { ECHO }, connect }) => {
      const socket = connect(
        { hostname: '127.0.0.1', port: Number(ECHO) },
        { secureTransport: 'off', allowHalfOpen: true, highWaterMark: 1024 },
      )
      const info = await socket.opened
      equal([socket.upgraded, socket.secureTransport], [false, 'off'])
      equal(['remoteAddress' in info, 'localAddress' in info], [true, true])
      const writer = socket.writable.getWriter()
      await writer.write(new TextEncoder().encode('hello'))
      await writer.close()
      equal(await new Response(socket.readable).text(), 'hello')
      await socket.close()
      await socket.closed
    },
  ),
  refused(
    'Socket: startTls; TlsOptions: expectedServerHostname',
    'the runtime has no TLS on sockets here',
    async ({ env: { ECHO }, connect }) => {
      const socket = connect(`127.0.0.1:${ECHO}`, { secureTransport: 'starttls' })
      await fails(
        () => socket.startTls({ expectedServerHostname: 'localhost' }).opened,
        /startTls\(\) is not supported/,
      )
      await fails(() => connect(`127.0.0.1:${ECHO}`, { secureTransport: 'on' }).opened, /cannot connect/)
    },
  ),
  works('Fetcher: connect; CloudflareWorkersModule.WorkerEntrypoint: connect', async ({ env: { NAMED } }) => {
    const socket = NAMED.connect('anywhere:80')
    equal(await new Response(socket.readable).text(), 'from a program')
  }),
  works('Hyperdrive: ip', async ({ env: { DATABASE }, connect }) => {
    equal(DATABASE.ip.startsWith('2'), true, DATABASE.ip)
    const socket = connect(`${DATABASE.ip}:${DATABASE.port}`)
    const writer = socket.writable.getWriter()
    await writer.write(new TextEncoder().encode('by address'))
    const { value } = await socket.readable.getReader().read()
    equal(new TextDecoder().decode(value), 'by address')
    await socket.close()
  }),
  refused(
    'HyperdriveDynamic: database user password connect; HyperdriveDynamicApi: get getHyperdriveConnectionString; HyperdriveDynamicConfig: dynamicHyperdriveConnectionString connectionString targetRegion cachingEnabled maxConnections',
    'no binding gives it',
    async ({ env: { DATABASE } }) =>
      equal([DATABASE.get, DATABASE.getHyperdriveConnectionString], [undefined, undefined]),
  ),
  differs(
    'WorkerLoaderWorkerCode: limits; WorkerStubEntrypointOptions: limits; workerdResourceLimits: cpuMs subRequests',
    'without effect: loaded code counts against the limits of the program that loads it',
    async ({ env: { LOADER } }) => {
      const limited = code("export default { fetch: () => new Response('ran') }", {
        limits: { cpuMs: 10, subRequests: 1 },
      })
      const entrypoint = LOADER.load(limited).getEntrypoint(null, { limits: { cpuMs: 10, subRequests: 1 } })
      equal(await (await entrypoint.fetch('http://inside/')).text(), 'ran')
    },
  ),
  refused(
    'WorkerLoaderWorkerCode: allowExperimental streamingTails',
    'experimental in the runtime',
    async ({ env: { LOADER, NAMED } }) => {
      const load = (more) =>
        LOADER.load(code("export default { fetch: () => new Response('ran') }", more))
          .getEntrypoint()
          .fetch('http://inside/')
      await fails(() => load({ allowExperimental: true }), /experimental/)
      await fails(() => load({ streamingTails: [NAMED] }), /experimental/)
    },
  ),
  works('WorkerLoaderWorkerCode: tails', async ({ env: { LOADER, TAILED, KV } }) => {
    const loud = code("export default { fetch() { console.log('from loaded code'); return new Response('ran') } }", {
      tails: [TAILED],
    })
    await (await LOADER.load(loud).getEntrypoint().fetch('http://inside/')).text()
    equal(await until(() => KV.get('trace:loaded')), 'from loaded code')
  }),
  refused('WorkerLoaderModule: py', 'no Python runtime', async ({ env: { LOADER } }) => {
    const python = {
      compatibilityDate: '2026-01-01',
      mainModule: 'main.py',
      modules: { 'main.py': { py: 'print(1)' } },
    }
    await fails(() => LOADER.load(python).getEntrypoint().fetch('http://inside/'), /./)
  }),
  differs(
    'ExportedHandler: connect; DurableObject: connect; CloudflareWorkersModule.DurableObject: connect',
    'told by `connect()` of bindings; nothing listens for it outside',
    async ({ env: { PROBE }, ctx }) => {
      equal(await new Response(ctx.exports.default.connect('a:1').readable).text(), 'from a handler')
      equal(await new Response(PROBE.getByName('connected').connect('a:1').readable).text(), 'from an object')
    },
  ),
]
