/** ClientHellos: their form, what becomes of broken ones, and the names made of them, against published examples. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { gatherHello, isGrease, parseClientHello } from './client-hello.ts'
import { ja3, ja3Text, ja4 } from './hello-prints.ts'

const u16 = (number: number) => Buffer.from([number >> 8, number & 255])
const vector = (width: number, bytes: Uint8Array) => {
  const head = Buffer.alloc(width)
  head.writeUIntBE(bytes.length, 0, width)
  return Buffer.concat([head, bytes])
}
const list = (numbers: readonly number[]) => Buffer.concat(numbers.map(u16))

interface Wanted {
  readonly version?: number
  readonly ciphers: readonly number[]
  /** Without content. */
  readonly extensions?: readonly number[]
  readonly contents?: Readonly<Record<number, Buffer>>
}

/** As a client writes it. */
function aHello({ version = 0x0303, ciphers, extensions, contents = {} }: Wanted): Buffer {
  const parts = (extensions ?? []).map((number) => [u16(number), vector(2, contents[number] ?? Buffer.alloc(0))])
  const body = [
    ...[u16(version), Buffer.alloc(32, 7), vector(1, Buffer.alloc(32, 9)), vector(2, list(ciphers))],
    ...[vector(1, Buffer.from([0])), ...(extensions === undefined ? [] : [vector(2, Buffer.concat(parts.flat()))])],
  ]
  return Buffer.concat([Buffer.from([1]), vector(3, Buffer.concat(body))])
}

const numbers = (text: string) => text.split(',').map((one) => Number.parseInt(one, 16))
const contents = {
  0: vector(2, Buffer.concat([Buffer.from([0]), vector(2, Buffer.from('shop.test'))])),
  10: vector(2, list([0x3a3a, 29, 23, 24])),
  11: vector(1, Buffer.from([0, 1])),
  13: vector(2, list(numbers('0403,0804,0401,0503,0805,0501,0806,0601'))),
  16: vector(2, Buffer.concat([vector(1, Buffer.from('h2')), vector(1, Buffer.from('http/1.1'))])),
  43: vector(1, list([0x2a2a, 0x0304, 0x0303])),
}
/** The example of JA4's description. */
const browser = aHello({
  ciphers: [0x0a0a, ...numbers('1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035')],
  extensions: [0x1a1a, ...numbers('001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015')],
  contents,
})

test('a hello is read whole', () => {
  const hello = parseClientHello(browser)!
  assert.deepEqual(
    [hello.serverName, hello.protocols, hello.versions],
    ['shop.test', ['h2', 'http/1.1'], [0x2a2a, 0x0304, 0x0303]],
  )
  assert.deepEqual([hello.groups, hello.pointFormats, hello.version], [[0x3a3a, 29, 23, 24], [0, 1], 0x0303])
  assert.deepEqual([hello.random.length, hello.ciphers.length, hello.extensions.length], [32, 16, 17])
  assert.deepEqual([0x0a0a, 0xfafa, 0x0a1a, 0x1301].map(isGrease), [true, true, false, false])
})

test('JA4 as in its published example', () => {
  assert.equal(ja4(parseClientHello(browser)!), 't13d1516h2_8daaf6152771_e5627efa2ab1')
})

test('JA4 of clients that leave things out', () => {
  const of = (wanted: Wanted) => ja4(parseClientHello(aHello(wanted))!)
  const hash = (text: string) => createHash('sha256').update(text).digest('hex').slice(0, 12)
  const protocol = (...bytes: number[]) => ({ 16: vector(2, vector(1, Buffer.from(bytes))) })
  assert.equal(of({ ciphers: [] }), 't12i000000_000000000000_000000000000')
  assert.equal(of({ version: 0x0301, ciphers: [5, 4] }), `t10i020000_${hash('0004,0005')}_000000000000`)
  assert.equal(of({ ciphers: [5], extensions: [35, 23] }), `t12i010200_${hash('0005')}_${hash('0017,0023')}`)
  const cases: [number[], string][] = [
    [[0xab], 'ab'],
    [[0xab, 0xcd], 'ad'],
    [[0x30, 0xab], '3b'],
    [[0x30, 0x31, 0xab, 0xcd], '3d'],
    [[0x30, 0xab, 0xcd, 0x31], '01'],
    [[0x68], 'hh'],
  ]
  for (const [bytes, ends] of cases)
    assert.equal(of({ ciphers: [5], extensions: [16], contents: protocol(...bytes) }).slice(8, 10), ends)
})

test('JA3 as in its published examples', () => {
  const groups = { 10: vector(2, list([23, 24, 25])), 11: vector(1, Buffer.from([0])) }
  const named = aHello({
    version: 769,
    ciphers: [47, 53, 5, 10, 49161, 49162, 49171, 49172, 50, 56, 19, 4],
    extensions: [0, 10, 11],
    contents: { ...contents, ...groups },
  })
  const bare = aHello({ version: 769, ciphers: [4, 5, 10, 9, 100, 98, 3, 6, 19, 18, 99] })
  const text = '769,47-53-5-10-49161-49162-49171-49172-50-56-19-4,0-10-11,23-24-25,0'
  assert.equal(ja3Text(parseClientHello(named)!), text)
  assert.equal(ja3(parseClientHello(named)!), 'ada70206e40642a3e4461f35503241d5')
  assert.equal(ja3(parseClientHello(bare)!), 'de350869b8c85de67a350c8d186f11e6')
})

const record = (part: Uint8Array, type = 22) => Buffer.concat([Buffer.from([type, 3, 1]), vector(2, part)])

test('a hello is put together from records cut anywhere, and from packets cut anywhere', () => {
  for (const size of [1, 2, 3, 4, 5, 64, browser.length - 1, browser.length, 9_999]) {
    const parts: Buffer[] = []
    for (let at = 0; at < browser.length; at += size) parts.push(record(browser.subarray(at, at + size)))
    const wire = Buffer.concat(parts)
    for (let length = 0; length < wire.length; length++)
      assert.equal(gatherHello(wire.subarray(0, length), 16_384), 'more')
    assert.deepEqual(gatherHello(Buffer.concat([wire, Buffer.from('more')]), 16_384), Buffer.from(browser))
  }
})

test('what is no hello is known by its first bytes', () => {
  const cases = [
    Buffer.from('GET / HTTP/1.1\r\n'),
    Buffer.from([22, 2]),
    record(Buffer.from([2, 0, 0, 1, 0])),
    record(Buffer.alloc(0)),
    record(browser, 23),
    Buffer.concat([record(browser.subarray(0, 3)), record(browser.subarray(3), 23)]),
    record(Buffer.from([1, 0xff, 0xff, 0xff])),
  ]
  for (const bytes of cases) assert.equal(gatherHello(bytes, 16_384), 'none')
})

test('whatever a client sends, reading it ends with a hello or without one', () => {
  for (let length = 0; length < browser.length; length++)
    assert.equal(parseClientHello(browser.subarray(0, length)), undefined)
  let state = 1
  const next = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % below
  }
  let read = 0
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(browser)
    for (let change = next(4) + 1; change > 0; change--) bytes[next(bytes.length)] = next(256)
    const hello = parseClientHello(bytes)
    if (hello === undefined) continue
    read++
    assert.match(ja4(hello), /^t..[di]\d{4}.._[0-9a-f]{12}_[0-9a-f]{12}$/s)
    assert.match(ja3(hello), /^[0-9a-f]{32}$/)
    gatherHello(record(bytes), 16_384)
  }
  assert.ok(read > 1_000 && read < 20_000, `${read} were read`)
})
