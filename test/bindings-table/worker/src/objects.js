import { differs, equal, fails, refused, shaped, until, works } from './case.js'

/** A case that runs in an object of its own. */
const inside =
  (name) =>
  ({ env }) =>
    env.PROBE.getByName(name).check(name)

export const objects = [
  works(
    'DurableObjectNamespace: newUniqueId idFromName idFromString get getByName; DurableObjectId: toString equals name; DurableObjectStub: id name',
    async ({ env: { PROBE } }) => {
      const id = PROBE.idFromName('one')
      equal([id.name, id.equals(PROBE.idFromName('one')), id.toString().length], ['one', true, 64])
      equal(PROBE.idFromString(id.toString()).equals(id), true)
      equal(PROBE.newUniqueId().equals(PROBE.newUniqueId()), false)
      const stub = PROBE.get(id)
      equal([stub.id.equals(id), stub.name, PROBE.getByName('two').name], [true, 'one', 'two'])
      equal(await stub.echo('hello'), 'hello')
    },
  ),
  differs(
    'DurableObjectNamespaceGetDurableObjectOptions: locationHint',
    'chooses among the PoPs of this platform; on one node there is one place',
    async ({ env: { PROBE } }) => equal(await PROBE.getByName('hinted', { locationHint: 'weur' }).echo(1), 1),
  ),
  differs(
    'DurableObjectNamespace: jurisdiction; DurableObjectNamespaceNewUniqueIdOptions: jurisdiction; DurableObjectId: jurisdiction',
    'with several PoPs: a country, `eu`, `eea`, `us`, `fedramp` (places in the US); on one node the runtime refuses it',
    async ({ env: { PROBE } }) => {
      await fails(async () => PROBE.jurisdiction('eu').idFromName('a'), /jurisdiction/i)
      await fails(async () => PROBE.newUniqueId({ jurisdiction: 'eu' }), /jurisdiction/i)
      equal(PROBE.idFromName('a').jurisdiction, undefined)
    },
  ),
  works(
    'DurableObject: fetch alarm; CloudflareWorkersModule.DurableObject: ctx env new fetch alarm; DurableObjectStorage: getAlarm setAlarm deleteAlarm; AlarmInvocationInfo: isRetry retryCount scheduledTime; DurableObjectTransaction: getAlarm setAlarm deleteAlarm',
    async ({ env: { PROBE } }) => {
      const stub = PROBE.getByName('alarmed')
      equal(await (await stub.fetch('http://object/path', { method: 'PUT' })).text(), 'PUT /path')
      await stub.check('alarm')
      const info = await until(() => stub.rang())
      equal(
        info.map(({ isRetry, retryCount }) => [isRetry, retryCount]),
        [
          [false, 0],
          [true, 1],
        ],
      )
      shaped(info[0], { scheduledTime: 'number' })
    },
  ),
  works('DurableObjectState: id storage waitUntil blockConcurrencyWhile exports props', inside('state')),
  works(
    'DurableObjectStorage: get list put delete deleteAll transaction sync; DurableObjectTransaction: get list put delete rollback; DurableObjectListOptions: start startAfter end prefix reverse limit',
    inside('asyncStorage'),
  ),
  works(
    'DurableObjectGetOptions: allowConcurrency noCache; DurableObjectListOptions: allowConcurrency noCache; DurableObjectPutOptions: allowConcurrency allowUnconfirmed noCache; DurableObjectGetAlarmOptions: allowConcurrency; DurableObjectSetAlarmOptions: allowConcurrency allowUnconfirmed',
    inside('options'),
  ),
  works(
    'DurableObjectStorage: sql transactionSync; SqlStorage: exec databaseSize Cursor Statement; SqlStorageCursor: next toArray one raw columnNames rowsRead rowsWritten [Symbol.iterator]',
    inside('sql'),
  ),
  works(
    'DurableObjectStorage: kv; SyncKvStorage: get list put delete; SyncKvListOptions: start startAfter end prefix reverse limit',
    inside('syncKv'),
  ),
  works(
    'DurableObjectFacets: get abort delete clone; FacetStartupOptions: class id; DurableObjectState: facets',
    inside('facets'),
  ),
  works('DurableObjectState: abort; DurableObjectStorage: sync', async ({ env: { PROBE } }) => {
    const stub = PROBE.getByName('aborted')
    const before = await stub.born()
    await fails(() => stub.end('on purpose'), /on purpose/)
    equal((await PROBE.getByName('aborted').born()) !== before, true)
  }),
  works(
    'DurableObjectState: acceptWebSocket getWebSockets setWebSocketAutoResponse getWebSocketAutoResponse getWebSocketAutoResponseTimestamp setHibernatableWebSocketEventTimeout getHibernatableWebSocketEventTimeout getTags; DurableObject: webSocketMessage webSocketClose; CloudflareWorkersModule.DurableObject: webSocketMessage webSocketClose; WebSocketRequestResponsePair: new request response; WebSocket: accept send close serializeAttachment deserializeAttachment',
    async ({ env: { PROBE } }) => {
      const stub = PROBE.getByName('sockets')
      const { webSocket } = await stub.fetch('http://object/', { headers: { upgrade: 'websocket' } })
      const said = []
      webSocket.addEventListener('message', ({ data }) => said.push(data))
      webSocket.accept()
      webSocket.send('ping')
      webSocket.send('hello')
      await until(() => (said.length === 2 ? said : undefined))
      equal(said[0], 'pong')
      equal(JSON.parse(said[1]), {
        message: 'hello',
        tags: ['visitor'],
        attachment: { joined: true },
        sockets: 1,
        pair: ['ping', 'pong'],
        timeout: 1000,
        answered: true,
      })
      webSocket.close(1000, 'done')
      equal(await until(() => stub.closed()), [1000, 'done'])
    },
  ),
  works(
    'DurableObjectNamespaceGetDurableObjectOptions: routingMode retry; DurableObjectRetryOptions: maxRetries timeoutMs',
    async ({ env: { PROBE } }) => {
      const options = { routingMode: 'primary-only', retry: { maxRetries: 1, timeoutMs: 5000 } }
      equal(await PROBE.getByName('routed', options).echo(1), 1)
      await fails(async () => PROBE.getByName('routed', { routingMode: 'any' }), /routingMode/)
    },
  ),
  works('DurableObjectAbortOptions: retryAlarm', async ({ env: { PROBE } }) => {
    await fails(() => PROBE.getByName('ended').end('for good', { retryAlarm: false }), /for good/)
  }),
  refused(
    'DurableObjectStorage: getCurrentBookmark getBookmarkForTime onNextSessionRestoreBookmark',
    'the runtime’s storage on disk has no history: the first answers a bookmark of zeros, the others throw',
    inside('history'),
  ),
  refused('DurableObjectState: container', 'containers do not run here', inside('container')),
  works(
    'WebSocket: readyState bufferedAmount url protocol extensions binaryType; WebSocketPair: new; WebSocketAcceptOptions: allowHalfOpen',
    async () => {
      const [client, server] = Object.values(new WebSocketPair())
      server.accept({ allowHalfOpen: true })
      client.accept()
      equal(
        [client.readyState, client.bufferedAmount, client.url, client.protocol, client.extensions, client.binaryType],
        [1, 0, null, '', '', 'blob'],
      )
      client.binaryType = 'arraybuffer'
      const heard = new Promise((resolve) => client.addEventListener('message', resolve))
      server.send(new Uint8Array([1, 2]))
      equal((await heard).data instanceof ArrayBuffer, true)
    },
  ),
]

/** What the object does when it is asked to check itself; `object` is the object, `ctx` its state. */
export const insideObject = {
  async alarm({ storage }) {
    equal(await storage.getAlarm(), null)
    await storage.setAlarm(Date.now() + 60_000)
    equal((await storage.getAlarm()) > Date.now(), true)
    await storage.deleteAlarm()
    await storage.transaction(async (transaction) => {
      await transaction.setAlarm(Date.now() + 60_000)
      equal((await transaction.getAlarm()) > Date.now(), true)
      await transaction.deleteAlarm()
    })
    await storage.setAlarm(Date.now() + 20)
  },
  async state(ctx) {
    equal([ctx.id.name, ctx.id.toString().length, ctx.props], ['state', 64, {}])
    equal(Object.keys(ctx.exports).includes('Named'), true)
    let done = false
    ctx.waitUntil(scheduler.wait(1))
    await ctx.blockConcurrencyWhile(async () => {
      await scheduler.wait(1)
      done = true
    })
    equal(done, true)
  },
  async asyncStorage({ storage }) {
    await storage.put({ a: 1, b: 2, c: new Map([[1, 2]]), d: 4 })
    equal([await storage.get('a'), await storage.get('none')], [1, undefined])
    equal(
      await storage.get(['a', 'c']),
      new Map([
        ['a', 1],
        ['c', new Map([[1, 2]])],
      ]),
    )
    const keys = async (options) => [...(await storage.list(options)).keys()].join('')
    equal(
      [await keys({ start: 'b', end: 'd' }), await keys({ startAfter: 'b' }), await keys({ prefix: 'a' })],
      ['bc', 'cd', 'a'],
    )
    equal(await keys({ reverse: true, limit: 2 }), 'dc')
    equal([await storage.delete('a'), await storage.delete(['b', 'none'])], [true, 1])
    await storage.transaction(async (transaction) => {
      await transaction.put('c', 'changed')
      equal([await transaction.get('c'), [...(await transaction.list()).keys()]], ['changed', ['c', 'd']])
      await transaction.delete('d')
      transaction.rollback()
    })
    equal(await keys({}), 'cd')
    await storage.sync()
    await storage.deleteAll()
    equal(await keys({}), '')
  },
  async history({ storage }) {
    equal(/^[0-]+$/.test(await storage.getCurrentBookmark()), true)
    await fails(() => storage.getBookmarkForTime(Date.now()), /point-in-time recovery/)
    await fails(() => storage.onNextSessionRestoreBookmark('a'), /point-in-time recovery/)
  },
  container({ container }) {
    equal(container, undefined)
  },
  async options({ storage }) {
    const relaxed = { allowConcurrency: true, noCache: true }
    await storage.put('a', 1, { ...relaxed, allowUnconfirmed: true })
    equal(await storage.get('a', relaxed), 1)
    equal([...(await storage.list(relaxed)).keys()], ['a'])
    await storage.setAlarm(Date.now() + 60_000, { allowConcurrency: true, allowUnconfirmed: true })
    equal(typeof (await storage.getAlarm({ allowConcurrency: true })), 'number')
    await storage.deleteAlarm({ allowConcurrency: true, allowUnconfirmed: true })
  },
  sql({ storage }) {
    const { sql } = storage
    sql.exec('CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, word TEXT); DELETE FROM t')
    const added = sql.exec('INSERT INTO t VALUES (?, ?), (2, ?)', 1, 'a', 'b')
    equal(added.rowsWritten, 2)
    const cursor = sql.exec('SELECT * FROM t ORDER BY id')
    equal([cursor instanceof sql.Cursor, typeof sql.Statement], [true, 'function'])
    equal(
      [cursor.columnNames, cursor.next().value, [...cursor], cursor.rowsRead],
      [['id', 'word'], { id: 1, word: 'a' }, [{ id: 2, word: 'b' }], 2],
    )
    equal(
      [...sql.exec('SELECT * FROM t').raw()],
      [
        [1, 'a'],
        [2, 'b'],
      ],
    )
    equal([sql.exec('SELECT count(*) AS n FROM t').one(), sql.exec('SELECT id FROM t').toArray().length], [{ n: 2 }, 2])
    equal(sql.databaseSize > 0, true)
    try {
      storage.transactionSync(() => {
        sql.exec('DELETE FROM t')
        throw new Error('back')
      })
    } catch {}
    equal(sql.exec('SELECT count(*) AS n FROM t').one().n, 2)
  },
  syncKv({ storage: { kv } }) {
    for (const key of ['a', 'b', 'c', 'd']) kv.put(key, { key })
    equal([kv.get('a'), kv.get('none'), kv.delete('d')], [{ key: 'a' }, undefined, true])
    const keys = (options) => [...kv.list(options)].map(([key]) => key).join('')
    equal(
      [
        keys({ start: 'b', end: 'c' }),
        keys({ startAfter: 'a' }),
        keys({ prefix: 'c' }),
        keys({ reverse: true, limit: 1 }),
      ],
      ['b', 'bc', 'c', 'c'],
    )
  },
  async loadedClass(ctx, { LOADER }) {
    const main =
      "import { DurableObject } from 'cloudflare:workers'; export class Kept extends DurableObject { bump() { return this.ctx.storage.kv.put('a', 1) ?? 'bumped' } }"
    const worker = LOADER.get('kept', () => ({
      compatibilityDate: '2026-01-01',
      mainModule: 'main.js',
      modules: { 'main.js': main },
    }))
    const facet = ctx.facets.get('loaded', () => ({ class: worker.getDurableObjectClass('Kept') }))
    equal(await facet.bump(), 'bumped')
  },
  async facets(ctx) {
    const child = ctx.facets.get('child', () => ({ class: ctx.exports.Facet({}), id: 'named' }))
    equal([await child.bump(), await child.bump()], [1, 2])
    ctx.facets.abort('child', new Error('enough'))
    const again = ctx.facets.get('child', async () => ({ class: ctx.exports.Facet({}) }))
    equal(await again.bump(), 3)
    ctx.facets.delete('child')
    equal(await ctx.facets.get('child', () => ({ class: ctx.exports.Facet({}) })).bump(), 1)
  },
}
