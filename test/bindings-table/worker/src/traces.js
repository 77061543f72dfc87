import { differs, equal, refused, shaped, until, works } from './case.js'

/** What the tail Worker of `stage.ts` was told last of an event of this kind. */
const told = (KV, kind) => until(() => KV.get(`trace:${kind}`, 'json'))

export const traces = [
  works(
    'ExportedHandler: tail; TraceItem: event eventTimestamp logs exceptions scriptName scriptVersion entrypoint outcome executionModel cpuTime wallTime; TraceItemJsRpcEventInfo: rpcMethod; TraceLog: timestamp level message errorInfo; TraceLogErrorInfo: name message stack; ScriptVersion: id',
    async ({ env: { KV, NAMED, VERSION } }) => {
      await NAMED.noise()
      const trace = await told(KV, 'noise')
      equal(
        [trace.scriptName, trace.scriptVersion.id, trace.entrypoint, trace.outcome],
        ['exerciser', VERSION.id, 'Named', 'ok'],
      )
      equal([trace.event.rpcMethod, trace.executionModel, trace.exceptions], ['noise', 'stateless', []])
      shaped(trace, { eventTimestamp: 'number', cpuTime: 'number', wallTime: 'number' })
      equal(
        trace.logs.map(({ level, message }) => [level, message[0]?.a ?? message[0]]),
        [
          ['log', 'noise'],
          ['error', trace.logs[1].message[0]],
        ],
      )
      shaped(trace.logs[0], { timestamp: 'number' })
      const [info] = trace.logs[1].errorInfo
      equal([info.name, info.message, typeof info.stack], ['RangeError', 'logged', 'string'])
    },
  ),
  works(
    'TraceItem: diagnosticsChannelEvents; TraceDiagnosticChannelEvent: timestamp channel message',
    async ({ env: { KV, NAMED } }) => {
      await NAMED.noise()
      const [event] = (await told(KV, 'noise')).diagnosticsChannelEvents
      equal([event.channel, event.message], ['table', { heard: true }])
      shaped(event, { timestamp: 'number' })
    },
  ),
  works('TraceException: timestamp message name stack', async ({ env: { KV, NAMED } }) => {
    await NAMED.fetch('http://named/throw').catch(() => {})
    const { outcome, exceptions } = await told(KV, 'throw')
    equal([outcome, exceptions[0].name, exceptions[0].message], ['exception', 'RangeError', 'thrown on purpose'])
    shaped(exceptions[0], { timestamp: 'number', stack: 'string' })
  }),
  differs(
    'TraceItemFetchEventInfo: request response; TraceItemFetchEventInfoRequest: cf headers method url; TraceItemFetchEventInfoResponse: status',
    'fields that may hold secrets are redacted',
    async ({ env: { KV, NAMED } }) => {
      const headers = { authorization: 'Bearer secret', 'x-seen': 'yes' }
      await (await NAMED.fetch('http://named/traced?token=1', { headers })).text()
      const { request, response } = (await told(KV, 'fetch')).event
      equal([request.method, request.url.startsWith('http://named/traced'), response.status], ['GET', true, 200])
      equal([request.headers['x-seen'], request.headers.authorization], ['yes', 'REDACTED'])
    },
  ),
  refused('TraceItemFetchEventInfoRequest: getUnredacted', 'a trace is plain data', async ({ env: { KV } }) => {
    equal((await told(KV, 'fetch')).event.request.getUnredacted, undefined)
  }),
  works('TraceItemQueueEventInfo: queue batchSize', async ({ env: { KV, QUEUE } }) => {
    await QUEUE.send('traced')
    const { event } = await told(KV, 'queue')
    equal([event.queue, event.batchSize >= 1], ['exerciser-queue', true])
  }),
  works('TraceItem: durableObjectId; TraceItemAlarmEventInfo: scheduledTime', async ({ env: { KV, PROBE } }) => {
    await PROBE.getByName('traced').check('alarm')
    const { event, durableObjectId, executionModel } = await told(KV, 'alarm')
    shaped(event, { scheduledTime: 'string' })
    equal([durableObjectId.length, executionModel], [64, 'durableObject'])
  }),
  refused(
    'ScriptVersion: tag message; TraceItem: scriptTags tailAttributes preview dispatchNamespace truncated; TracePreviewInfo: id slug name',
    'absent; `truncated` is set where a trace was over its cap',
    async ({ env: { KV, NAMED } }) => {
      await NAMED.noise()
      const trace = await told(KV, 'noise')
      equal(Object.keys(trace.scriptVersion), ['id'])
      for (const name of ['scriptTags', 'tailAttributes', 'preview', 'dispatchNamespace', 'truncated'])
        equal(trace[name], undefined, name)
    },
  ),
  works(
    'TraceItemHibernatableWebSocketEventInfo: getWebSocketEvent; TraceItemHibernatableWebSocketEventInfoMessage: webSocketEventType; TraceItemHibernatableWebSocketEventInfoClose: webSocketEventType code wasClean',
    async ({ env: { KV, PROBE } }) => {
      const { webSocket } = await PROBE.getByName('heard').fetch('http://object/', {
        headers: { upgrade: 'websocket' },
      })
      webSocket.accept()
      webSocket.send('hello')
      equal((await told(KV, 'websocket-message')).event, { getWebSocketEvent: { webSocketEventType: 'message' } })
      webSocket.close(4001, 'heard')
      const { getWebSocketEvent: closed } = (await told(KV, 'websocket-close')).event
      equal(closed.webSocketEventType, 'close')
      shaped(closed, { code: 'number', wasClean: 'boolean' })
    },
  ),
  refused(
    'TraceItemOnHibernateEventInfo: reason; TraceItemTailEventInfo: consumedEvents; TraceItemTailEventInfoTailItem: scriptName',
    'going to sleep leaves no trace; traces of `tail()` are not told',
    async ({ env: { KV } }) => {
      const trace = await told(KV, 'noise')
      equal([trace.event.reason, trace.event.consumedEvents], [undefined, undefined])
    },
  ),
  refused(
    'ExportedHandler: trace test; CloudflareWorkersModule.WorkerEntrypoint: trace test',
    'nothing calls them: use `tail()`',
    ({ ctx }) => equal(Object.keys(ctx.exports.default).includes('trace'), false),
  ),
]
