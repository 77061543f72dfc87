/** Single host calls about the client, backends, fields and bodies: what each answers, status and value. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import type { ProgramRequest } from '#/core/ports.ts'
import { buffer, type Call, callAll, load, out } from '#/engines/compute/call-sequence.fixture.ts'
import { status } from '#/engines/compute/inside/status.ts'
import { openBackends, openOrigin } from '../support/compute.ts'

const { ok, none, unsupported, error, badHandle } = status
const where = (name: string) => [buffer(name), out(`${name} length`)] as const
const many = (name: string) => [buffer(name), 0, out(`${name} cursor`), out(`${name} length`)] as const

const client: Partial<ProgramRequest> = {
  client: {
    address: '2001:db8::7',
    port: 40_000,
    tls: { version: 'TLSv1.3', cipher: 'TLS_AES_128_GCM_SHA256', serverName: 'shop.test' },
    prints: {
      hello: Buffer.from('a hello'),
      random: undefined,
      ja3: 'ada70206e40642a3e4461f35503241d5',
      ja4: 't13d1516h2_8daaf6152771_e5627efa2ab1',
      http2: '1:65536|15663105|0|m,a,s,p',
    },
  },
  httpVersion: '2',
  serverAddress: '192.0.2.2',
  received: ['Host', 'shop.test', 'X-Odd', '1'],
  headers: ['cdn-loop', 'rimward, other', 'x-odd', '1'],
}

/** With the request's handle in `fastly_http_downstream`, without it in `fastly_http_req`. */
const facts: readonly [name: string, status: number, value?: string][] = [
  ['client_request_id', ok, '00000000000000000123456789abcdef'],
  ['client_h2_fingerprint', ok, '1:65536|15663105|0|m,a,s,p'],
  ['client_oh_fingerprint', ok, createHash('sha256').update('host\0x-odd').digest('hex').slice(0, 32)],
  ['tls_cipher_openssl_name', ok, 'TLS_AES_128_GCM_SHA256'],
  ['tls_protocol', ok, 'TLSv1.3'],
  ['tls_client_hello', ok, 'a hello'],
  ['tls_raw_client_certificate', ok, ''],
  ['tls_ja4', ok, 't13d1516h2_8daaf6152771_e5627efa2ab1'],
  ['compliance_region', ok, 'none'],
]
const newer: readonly [name: string, status: number, value?: string][] = [
  ['tls_client_servername', ok, 'shop.test'],
  ['bot_name', none],
  ['bot_category', none],
  ['resvpnproxy_vpn_service_name', none],
]
const flags = ['is_anonymous', 'is_anonymous_vpn', 'is_hosting_provider', 'is_proxy_over_vpn', 'is_public_proxy']
const more = ['is_relay_proxy', 'is_residential_proxy', 'is_smart_dns_proxy', 'is_tor_exit_node', 'is_vpn_datacenter']

for (const module of ['fastly_http_downstream', 'fastly_http_req'] as const)
  test(`facts of the client, of ${module}`, async (t) => {
    const stage = await openBackends(t)
    const older = module === 'fastly_http_req'
    const handle = older ? [] : [load('request')]
    const texts = older ? facts : [...facts, ...newer]
    const names = older ? 'original_header_names_get' : 'downstream_original_header_names'
    const count = older ? 'original_header_count' : 'downstream_original_header_count'
    const rest: [Call, number][] = [
      [[`${module}.downstream_client_ip_addr`, ...handle, { place: 'client', size: 16 }, out('client length')], ok],
      [[`${module}.downstream_server_ip_addr`, ...handle, { place: 'server', size: 16 }, out('server length')], ok],
      [[`${module}.downstream_tls_ja3_md5`, ...handle, { place: 'ja3', size: 16 }, out('ja3 length')], ok],
      [[`${module}.downstream_tls_client_cert_verify_result`, ...handle, out('certificate')], ok],
      [[`${module}.downstream_client_ddos_detected`, ...handle, out('ddos')], ok],
      [[`${module}.${names}`, ...handle, ...many('names')], ok],
      [[`${module}.${count}`, ...handle, out('count')], ok],
      [[`${module}.fastly_key_is_valid`, ...handle, out('key')], ok],
    ]
    const bots: [Call, number][] = [
      [[`${module}.downstream_bot_analyzed`, load('request'), out('analyzed')], ok],
      [[`${module}.downstream_bot_detected`, load('request'), out('detected')], ok],
      [[`${module}.downstream_bot_category_kind`, load('request'), out('x')], none],
      [[`${module}.downstream_bot_verified`, load('request'), out('x')], none],
      ...[...flags, ...more].map((name): [Call, number] => [
        [`${module}.downstream_resvpnproxy_${name}`, load('request'), out('x')],
        none,
      ]),
      [[`${module}.downstream_visits_this_service`, out('visits')], ok],
      [[`${module}.downstream_visits_this_pop`, out('visits')], ok],
      [['fastly_http_req.new', out('own')], ok],
      [[`${module}.downstream_client_ip_addr`, load('own'), { place: 'x', size: 16 }, out('x')], error],
      [[`${module}.next_request`, 4, 0, out('next')], status.invalidArgument],
      [[`${module}.next_request`, 0, 0, out('next')], ok],
      [[`${module}.next_request_abandon`, load('next')], ok],
      [[`${module}.next_request_abandon`, load('next')], badHandle],
    ]
    const cases: [Call, number][] = [
      [['fastly_http_req.body_downstream_get', out('request'), out('body')], ok],
      ...texts.map(([name, expected]): [Call, number] => [
        [`${module}.downstream_${name}`, ...handle, ...where(name)],
        expected,
      ]),
      ...rest,
      ...(older ? [] : bots),
    ]
    const outcome = await callAll(
      stage,
      cases.map(([call]) => call),
      { request: client },
    )
    for (const [index, [[name], expected]] of cases.entries()) assert.equal(outcome.statuses[index], expected, name)
    for (const [name, expected, value] of texts)
      if (expected === ok) assert.equal(outcome.text(name, `${name} length`), value, name)
    assert.equal(Buffer.from(outcome.bytes('client')).toString('hex'), '20010db8000000000000000000000007')
    assert.deepEqual([outcome.u32('server length'), [...outcome.bytes('server').subarray(0, 4)]], [4, [192, 0, 2, 2]])
    assert.equal(outcome.u32('ja3 length'), 16)
    assert.equal(Buffer.from(outcome.bytes('ja3')).toString('hex'), 'ada70206e40642a3e4461f35503241d5')
    assert.equal(outcome.text('names', 'names length'), 'Host\0X-Odd\0')
    assert.deepEqual([outcome.u32('count'), outcome.u32('key'), outcome.u32('ddos')], [2, 0, 0])
    if (!older) assert.equal(outcome.u32('visits'), 1)
  })

test('facts of a backend', async (t) => {
  const stage = await openBackends(t)
  const get = (name: string, expected: number): [Call, number] => [
    [`fastly_backend.${name}`, 'shop', out(name)],
    expected,
  ]
  const cases: [Call, number][] = [
    [['fastly_backend.get_host', 'shop', ...where('host')], ok],
    [['fastly_backend.get_override_host', 'shop', ...where('override')], ok],
    get('get_connect_timeout_ms', ok),
    get('get_first_byte_timeout_ms', ok),
    get('get_between_bytes_timeout_ms', ok),
    get('get_http_keepalive_time', ok),
    get('get_tcp_keepalive_enable', ok),
    get('get_tcp_keepalive_interval', ok),
    get('get_tcp_keepalive_probes', ok),
    get('get_tcp_keepalive_time', ok),
    get('is_ssl', ok),
    get('get_ssl_min_version', ok),
    get('get_ssl_max_version', none),
    [['fastly_backend.get_host', 'nobody', ...where('x')], status.invalidArgument],
  ]
  const backend = {
    ...{ name: 'shop', url: 'https://shop.internal:8443/', weight: 100, overrideHost: 'shop.test' },
    ...{ connectTimeoutMs: 1, firstByteTimeoutMs: 2, betweenBytesTimeoutMs: 3, minTlsVersion: '1.2' as const },
    tcpKeepAlive: { idleMs: 4_000, intervalMs: 5_000, probes: 6 },
  }
  const outcome = await callAll(
    stage,
    cases.map(([call]) => call),
    { code: { backends: [backend] } },
  )
  for (const [index, [[name], expected]] of cases.entries()) assert.equal(outcome.statuses[index], expected, name)
  assert.deepEqual(
    [outcome.text('host', 'host length'), outcome.text('override', 'override length')],
    ['shop.internal', 'shop.test'],
  )
  const times = ['get_connect_timeout_ms', 'get_first_byte_timeout_ms', 'get_between_bytes_timeout_ms', 'is_ssl']
  assert.deepEqual(
    times.map((name) => outcome.u32(name)),
    [1, 2, 3, 1],
  )
  assert.deepEqual(
    ['enable', 'time', 'interval', 'probes'].map((name) => outcome.u32(`get_tcp_keepalive_${name}`)),
    [1, 4, 5, 6],
  )
})

for (const module of ['fastly_http_req', 'fastly_http_resp'] as const)
  test(`fields and versions of ${module}`, async (t) => {
    const stage = await openBackends(t)
    const of = (name: string, ...rest: Call[1][]): Call => [`${module}.${name}`, load('message'), ...rest]
    const outcome = await callAll(stage, [
      [`${module}.new`, out('message')],
      of('header_append', 'x-one', 'a'),
      of('header_append', 'X-One', 'b'),
      of('header_value_get', 'x-one', ...where('first')),
      of('header_values_set', 'x-two', 'c\0d\0'),
      of('header_values_get', 'x-two', ...many('two')),
      of('header_remove', 'x-one'),
      of('header_names_get', ...many('names')),
      of('header_value_get', 'x-one', ...where('x')),
      of('version_set', 1),
      of('version_get', out('version')),
      of('framing_headers_mode_set', 1),
      of('close'),
      of('close'),
    ])
    assert.deepEqual(outcome.statuses, [...new Array(8).fill(ok), none, ...new Array(4).fill(ok), badHandle])
    const texts = ['first', 'two', 'names'].map((name) => outcome.text(name, `${name} length`))
    assert.deepEqual([...texts, outcome.u32('version')], ['a', 'c\0d\0', 'x-two\0', 1])
  })

test('trailers, and a body that is given up', async (t) => {
  const stage = await openBackends(t)
  const body = load('body')
  const outcome = await callAll(stage, [
    ['fastly_http_body.new', out('body')],
    ['fastly_http_body.trailer_append', body, 'x-sum', '1'],
    ['fastly_http_body.trailer_append', body, 'x-sum', '2'],
    ['fastly_http_body.trailer_names_get', body, ...many('names')],
    ['fastly_http_body.trailer_value_get', body, 'x-sum', ...where('one')],
    ['fastly_http_body.trailer_values_get', body, 'x-sum', ...many('all')],
    ['fastly_http_body.abandon', body],
    ['fastly_http_body.abandon', body],
  ])
  assert.deepEqual(outcome.statuses, [...new Array(7).fill(ok), badHandle])
  const texts = ['names', 'one', 'all'].map((name) => outcome.text(name, `${name} length`))
  assert.deepEqual(texts, ['x-sum\0', '1', '1\x002\0'])
})

test('requests to backends, the ways of older and newer programs', async (t) => {
  const stage = await openBackends(t)
  const origin = await openOrigin(t, (_request, response) => void response.setHeader('x-gone', 'y').end('origin'))
  const request = (name: string): Call[] => [
    ['fastly_http_req.new', out('request')],
    ['fastly_http_req.uri_set', load('request'), `http://origin.test/${name}`],
    ['fastly_http_req.cache_override_set', load('request'), 1, 0, 0],
    ['fastly_http_body.new', out('body')],
  ]
  const sent = [load('request'), load('body'), 'origin'] as const
  const async: Call = ['fastly_http_req.send_async', ...sent, out('pending')]
  const calls: Call[] = [
    ...request('v3'),
    ['fastly_http_req.send_v3', ...sent, { struct: new Array(8).fill(0) }, out('response'), out('answer')],
    ['fastly_http_resp.get_addr_dest_ip', load('response'), { place: 'address', size: 16 }, out('address length')],
    ['fastly_http_resp.get_addr_dest_port', load('response'), out('port')],
    ['fastly_http_resp.http_keepalive_mode_set', load('response'), 1],
    ...request('wait'),
    async,
    ['fastly_http_req.pending_req_header_append', load('pending'), 'x-added', 'a', 0],
    ['fastly_http_req.pending_req_header_remove', load('pending'), 'x-gone', 0],
    ['fastly_http_req.pending_req_wait', load('pending'), out('response'), out('answer')],
    ['fastly_http_resp.header_value_get', load('response'), 'x-added', ...where('added')],
    ['fastly_http_resp.header_value_get', load('response'), 'x-gone', ...where('gone')],
    ...request('select'),
    async,
    ['fastly_http_req.pending_req_select', { place: 'pending list', size: 0 }, 0, out('x'), out('x'), out('x')],
    [
      'fastly_http_req.pending_req_poll_v2',
      load('pending'),
      { struct: new Array(8).fill(0) },
      out('done'),
      out('x'),
      out('x'),
    ],
    ['fastly_http_req.redirect_to_websocket_proxy_v2', load('request'), 'unheard'],
    ['fastly_http_req.upgrade_websocket', 'unheard'],
  ]
  const outcome = await callAll(stage, calls, { code: { backends: [origin.backend] } })
  const statusOf = (name: string) =>
    calls.flatMap(([call], index) => (call.endsWith(`.${name}`) ? [outcome.statuses[index]] : []))
  assert.deepEqual(statusOf('send_v3'), [ok])
  assert.deepEqual([statusOf('get_addr_dest_ip'), statusOf('get_addr_dest_port')], [[ok], [ok]])
  assert.deepEqual([...outcome.bytes('address').subarray(0, 4)], [127, 0, 0, 1])
  assert.equal(outcome.u64('port') & 0xffffn, BigInt(origin.port))
  assert.deepEqual([statusOf('pending_req_wait'), statusOf('header_value_get')], [[ok], [ok, none]])
  assert.equal(outcome.text('added', 'added length'), 'a')
  assert.deepEqual([statusOf('pending_req_select'), statusOf('pending_req_poll_v2')], [[status.invalidArgument], [ok]])
  assert.deepEqual(
    [statusOf('redirect_to_websocket_proxy_v2'), statusOf('upgrade_websocket')],
    // Sending has taken the request.
    [[badHandle], [status.invalidArgument]],
  )
})

test('the cache override in a record', async (t) => {
  const stage = await openBackends(t)
  const origin = await openOrigin(t, (_request, response) => response.end('x'))
  const send = async (tag: number) => {
    const { statuses } = await callAll(
      stage,
      [
        ['fastly_http_req.new', out('request')],
        ['fastly_http_req.uri_set', load('request'), 'http://origin.test/'],
        ['fastly_http_req.cache_override_v3_set', load('request'), tag, { struct: [60, 0, 'one two', 9] }],
        ['fastly_http_body.new', out('body')],
        ['fastly_http_req.send', load('request'), load('body'), 'origin', out('response'), out('answer')],
      ],
      { code: { backends: [origin.backend] } },
    )
    return statuses[2]
  }
  const [pass, ttl, lookupTimeout] = [1, 2, 16]
  assert.deepEqual([await send(ttl), await send(ttl), origin.asked.length], [ok, ok, 1])
  await stage.cache.purge([{ scope: 'calls', soft: false, what: { kind: 'tag', tag: 'two' } }])
  assert.deepEqual([await send(ttl), origin.asked.length], [ok, 2])
  assert.deepEqual([await send(pass), origin.asked.length], [ok, 3])
  assert.equal(await send(ttl | lookupTimeout), unsupported)
  assert.equal(await send(32), status.invalidArgument)
})

test('a request is not inspected, and hears so as a service does that has no workspace for it', async (t) => {
  const stage = await openBackends(t)
  const inspect = (mask: number, info: Call[1], size = 256): Call => [
    'fastly_http_req.inspect',
    load('request'),
    load('body'),
    mask,
    info,
    { buffer: 'said', size },
    out('said length'),
  ]
  const info = { struct: ['corp', 'workspace', 0, 3] }
  const outcome = await callAll(stage, [
    ['fastly_http_req.body_downstream_get', out('request'), out('body')],
    inspect(2, info),
    inspect(14, info),
    inspect(6, info, 256),
  ])
  assert.deepEqual(outcome.statuses, [ok, status.invalidArgument, status.invalidArgument, ok])
  assert.equal(JSON.parse(outcome.text('said', 'said length')).verdict, 'unauthorized')
})

test('what is not here says so', async (t) => {
  const stage = await openBackends(t)
  const outcome = await callAll(stage, [
    ['fastly_http_req.new', out('request')],
    ['fastly_http_req.redirect_to_grip_proxy', 'origin'],
    ['fastly_http_req.redirect_to_grip_proxy_v2', load('request'), 'origin'],
    ['fastly_http_req.on_behalf_of', load('request'), 'other'],
    ['fastly_http_req.on_behalf_of', load('request'), 'service-calls'],
    ['fastly_image_optimizer.transform_image_optimizer_request', 0, 0, 'origin', 0, 0, 0, 0, 0],
    ['fastly_shielding.backend_for_shield', 'shield', 0, 0, buffer('y'), out('x')],
    ['fastly_uap.parse', 'Agent', ...where('a'), ...where('b'), ...where('c'), ...where('d')],
  ])
  assert.deepEqual(outcome.statuses, [
    ...[ok, unsupported, unsupported, unsupported, ok],
    ...[unsupported, status.invalidArgument, unsupported],
  ])
})
