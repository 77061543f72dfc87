import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { defaultLimits } from '#/core/limits.ts'
import { buffer, type Call, callAll, out } from './call-sequence.fixture.ts'
import { readDevices } from './devices.ts'
import { openHost } from './host.fixture.ts'
import { status } from './inside/status.ts'

const { ok, none, bufferTooSmall, invalidArgument } = status

test('rate counters: programs count together, box and bar', async (t) => {
  const stage = await openHost(t)
  const check = (name: string): Call => ['fastly_erl.check_rate', 'hits', '192.0.2.1', 1, 10, 10, 'box', 120, out(name)]
  const hundred: Call = ['fastly_erl.ratecounter_increment', 'hits', '192.0.2.1', 100]
  const first = await callAll(stage, [
    check('one'),
    ['fastly_erl.ratecounter_increment', 'hits', 'other', 5],
    ['fastly_erl.ratecounter_lookup_rate', 'hits', 'other', 1, out('rate')],
    ['fastly_erl.ratecounter_lookup_count', 'hits', 'other', 10, out('count')],
    ['fastly_erl.penaltybox_has', 'box', '192.0.2.1', out('before')],
    hundred,
    check('two'),
    ['fastly_erl.penaltybox_has', 'box', '192.0.2.1', out('after')],
  ])
  assert.deepEqual(new Set(first.statuses), new Set([ok]))
  const seen = ['one', 'rate', 'count', 'before', 'two', 'after'].map((name) => first.u32(name))
  assert.deepEqual(seen, [0, 5, 5, 0, 1, 1])

  stage.pass(119_000)
  assert.equal((await callAll(stage, [check('three')])).u32('three'), 1)
  stage.pass(2_000)
  assert.equal((await callAll(stage, [check('four')])).u32('four'), 0)
})

test('rate counters: a penalty of its own, and what is refused', async (t) => {
  const stage = await openHost(t)
  const outcome = await callAll(stage, [
    ['fastly_erl.penaltybox_add', 'box', 'somebody', 60],
    ['fastly_erl.penaltybox_has', 'box', 'somebody', out('has')],
    ['fastly_erl.penaltybox_has', 'other box', 'somebody', out('other')],
    ['fastly_erl.penaltybox_add', 'box', 'somebody', 5],
    ['fastly_erl.ratecounter_lookup_rate', 'hits', 'x', 7, out('x')],
    ['fastly_erl.ratecounter_lookup_count', 'hits', 'x', 15, out('x')],
    ['fastly_erl.ratecounter_increment', '', 'x', 1],
  ])
  assert.deepEqual(outcome.statuses, [ok, ok, ok, ...new Array(4).fill(invalidArgument)])
  assert.deepEqual([outcome.u32('has'), outcome.u32('other')], [1, 0])
})

test('geolocation: what is known in the platform’s words, and that nothing is known', async (t) => {
  const stage = await openHost(t)
  const lookup = (octets: readonly number[], name: string, size = 512): Call => [
    'fastly_geo.lookup',
    { bytes: Uint8Array.from(octets) },
    buffer(name, size),
    out(`${name} length`),
  ]
  const outcome = await callAll(stage, [
    lookup([8, 8, 8, 8], 'one'),
    lookup([127, 0, 0, 1], 'two'),
    lookup([8, 8, 8, 8], 'three', 5),
    lookup([8, 8], 'four'),
  ])
  assert.deepEqual(outcome.statuses, [ok, ok, bufferTooSmall, invalidArgument])
  const place = JSON.parse(outcome.text('one', 'one length'))
  const { country_code, country_code3, country_name, continent, as_number, city, latitude } = place
  assert.deepEqual(
    [country_code, country_code3, country_name, continent, as_number, city, latitude],
    ['US', 'USA', 'united states', 'NA', 15169, '?', 0],
  )
  const nowhere = JSON.parse(outcome.text('two', 'two length'))
  assert.deepEqual([nowhere.country_code, nowhere.utc_offset], ['?', 0])
  assert.deepEqual(Object.keys(nowhere), Object.keys(place))
})

test('devices: by the operator’s file', async (t) => {
  const stage = await openHost(t)
  const outcome = await callAll(stage, [
    ['fastly_device_detection.lookup', 'Phone/1', buffer('one'), out('length')],
    ['fastly_device_detection.lookup', 'Phone/2', buffer('two'), out('x')],
  ])
  assert.deepEqual(outcome.statuses, [ok, none])
  assert.deepEqual(JSON.parse(outcome.text('one', 'length')), { device: { name: 'Phone' } })
})

test('a file of devices is read, and one that is none is named', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'devices-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const read = (text: string, limits = defaultLimits) => {
    writeFileSync(join(folder, 'devices.json'), text)
    return readDevices(join(folder, 'devices.json'), limits)
  }
  assert.equal(await readDevices(join(folder, 'nothing.json'), defaultLimits), undefined)
  const devices = await read('{"Phone/1":{"device":{"is_mobile":true}}}')
  assert.equal(devices?.('Phone/1'), '{"device":{"is_mobile":true}}')
  assert.equal(devices?.('Phone/2'), undefined)
  await assert.rejects(read('{'), /is not JSON/)
  await assert.rejects(read('[]'), /not an object/)
  await assert.rejects(read('{"a":1}'), /not an object/)
  await assert.rejects(read('{"a":{},"b":{}}', { ...defaultLimits, computeDevices: 1 }), /more than 1/)
})

test('what a program used so far', async (t) => {
  const stage = await openHost(t)
  const outcome = await callAll(stage, [
    ['fastly_abi.init', 1n],
    ['fastly_abi.init', 2n],
    ['fastly_compute_runtime.get_vcpu_ms', out('ms')],
    ['fastly_compute_runtime.has_domain_inspector', out('none')],
    ['fastly_compute_runtime.has_image_optimizer', out('none')],
    ['fastly_compute_runtime.has_origin_inspector', out('none')],
    ['fastly_compute_runtime.get_heap_mib', out('mib')],
    ['fastly_http_body.new', out('body')],
    ['fastly_http_body.write', { load: 'body' }, { bytes: Buffer.alloc(1_048_576) }, 0, out('written')],
    ['fastly_compute_runtime.get_heap_mib', out('more')],
  ])
  assert.deepEqual(outcome.statuses, [ok, invalidArgument, ...new Array(8).fill(ok)])
  assert.ok(outcome.u64('ms') < 50n)
  // Its memory is below 2 MiB, the body is one more.
  assert.deepEqual([outcome.u32('mib'), outcome.u32('more')], [2, 3])
})
