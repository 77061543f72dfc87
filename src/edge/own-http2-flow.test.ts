/**
 * HTTP/2 by our own framing under clients that ask for too much, read too little or say nothing (RFC 9113 §5.2, §10.5).
 */
import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { hello, textOf, until } from './edge.fixture.ts'
import {
  both,
  type Client,
  continuation,
  data,
  endHeaders,
  endStream,
  type Frame,
  frame,
  get,
  getBlock,
  headers,
  literal,
  mark,
  number,
  ping,
  post,
  preface,
  priority,
  reset,
  set,
  settings,
  speak,
  start,
  told,
  wait,
  window,
} from './h2.fixture.ts'

/** Frames that cost us and bring nothing. */
const floods: readonly (readonly [string, () => Buffer])[] = [
  ['PING', () => frame(ping, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', () => set(4, 65_535)],
  ['PRIORITY', () => frame(priority, 0, 1, [0, 0, 0, 0, 1])],
  ['unknown frames', () => frame(0x42, 0, 0)],
  ['WINDOW_UPDATE', () => frame(window, 0, 0, number(1))],
]
for (const [name, one] of floods)
  test(`a flood of ${name} is cut`, async (t) => {
    const { port } = await start(t)
    const client = speak(t, port, preface, frame(settings, 0, 0), ...Array.from({ length: 5_000 }, one))
    await until(() => client.socket.destroyed)
  })

test('floods inside a stream are cut: empty DATA, empty CONTINUATION, a block without end', async (t) => {
  const { port, seen } = await start(t)
  const begin = [preface, frame(settings, 0, 0)]
  const many = (one: Buffer, count: number) => Array.from({ length: count }, () => one)
  const clients = [
    speak(t, port, ...begin, post(1), ...many(frame(data, 0, 1), 5_000)),
    speak(t, port, ...begin, frame(headers, endStream, 1), ...many(frame(continuation, 0, 1), 5_000)),
    speak(
      t,
      port,
      ...begin,
      frame(headers, endStream, 1),
      ...many(frame(continuation, 0, 1, Buffer.alloc(16_000, 0x82)), 50),
    ),
  ]
  await until(() => clients.every(({ socket }) => socket.destroyed))
  assert.ok(seen.length <= 1)
})

test('an HPACK bomb gets a page and costs nothing; the connection goes on', async (t) => {
  const { port, seen, logged } = await start(t)
  const large = Buffer.concat([Buffer.from([0x40, 1, 0x78, 0x7f, 0xd1, 0x1d]), Buffer.alloc(3920, 0x79)])
  const bomb = Buffer.concat([getBlock, large, Buffer.alloc(12_000, 0xbe)])
  const client = speak(t, port, preface, frame(settings, 0, 0), frame(headers, both, 1, bomb), get(3))
  await until(() => told(client.frames).includes('end 3'))
  assert.equal(seen.length, 1)
  assert.equal((await logged(2))[0]!.error, 'headers_too_large')
})

test('streams reset by the client’s mistakes count like its own resets (MadeYouReset)', async (t) => {
  const { port, seen } = await start(t)
  const parts: Buffer[] = []
  for (let stream = 1; stream < 4_000; stream += 2) parts.push(wait(stream), frame(window, 0, stream, number(0)))
  const client = speak(t, port, preface, frame(settings, 0, 0), ...parts)
  await until(() => client.socket.destroyed)
  assert.ok(seen.length <= 300, `${seen.length} requests reached the engine`)
})

// ─── Flow control ────────────────────────────────────────────────────────────────────────────────────────────────

const bytesOf = (frames: readonly Frame[], stream: number) =>
  frames.filter((one) => one.type === data && one.stream === stream).reduce((sum, one) => sum + one.payload.length, 0)

test('an answer goes no further than the windows, also when they shrink below zero', async (t) => {
  const { port } = await start(t, { run: () => hello({ body: Buffer.alloc(100, 'x') }) })
  const { socket, frames } = speak(t, port, preface, set(4, 10), get(1), mark)
  await until(() => told(frames).includes('mark') && bytesOf(frames, 1) === 10)
  socket.write(Buffer.concat([set(4, 0), frame(window, 0, 1, number(5)), mark]))
  await until(() => told(frames).filter((one) => one === 'mark').length === 2)
  assert.equal(bytesOf(frames, 1), 10)
  socket.write(Buffer.concat([frame(window, 0, 1, number(10)), mark]))
  await until(() => bytesOf(frames, 1) === 15)
  socket.write(set(4, 1000))
  await until(() => told(frames).includes('end 1'))
  assert.equal(bytesOf(frames, 1), 100)
})

test('large answers share a connection, and one that nobody reads is cut', async (t) => {
  const big = Buffer.alloc(400_000, 'x')
  const { port } = await start(t, {
    limits: { responseIdleTimeoutMs: 60 },
    run: ({ path }) => hello({ body: path === '/wait' ? Readable.from([big, big]) : big }),
  })
  const { frames } = speak(
    t,
    port,
    preface,
    set(4, 500_000),
    frame(window, 0, 0, number(2_000_000)),
    get(1),
    get(3),
    wait(5),
  )
  await until(() => told(frames).includes('end 1') && told(frames).includes('end 3'))
  assert.deepEqual([bytesOf(frames, 1), bytesOf(frames, 3)], [400_000, 400_000])
  const turns = frames.filter(({ type }) => type === data).map(({ stream }) => stream)
  assert.ok(turns.indexOf(3) < turns.lastIndexOf(1), 'the second waited for the whole of the first')
  await until(() => told(frames).includes('reset 5 8'))
  assert.equal(bytesOf(frames, 5), 500_000)
})

test('a request body that nobody reads stops at the window; one that is read goes on', async (t) => {
  let release: () => void = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const { port, seen } = await start(t, {
    run: async (request) => {
      await held
      return hello({ body: Buffer.from(String((await textOf(request.body)).length)) })
    },
  })
  const { socket, frames } = speak(t, port, preface, frame(settings, 0, 0), post(1))
  const piece = frame(data, 0, 1, Buffer.alloc(16_384))
  for (let sent = 0; sent < 16; sent++) socket.write(piece)
  socket.write(mark)
  await until(() => told(frames).includes('mark') && seen.length === 1)
  assert.ok(!frames.some(({ type, stream }) => type === window && stream === 1))
  release()
  await until(() => frames.some(({ type, stream }) => type === window && stream === 1))
  for (let sent = 0; sent < 8; sent++) socket.write(piece)
  socket.write(frame(data, endStream, 1))
  await until(() => told(frames).includes('end 1'))
  assert.equal(frames.find(({ type }) => type === data)!.payload.toString(), String(24 * 16_384))
})

test('a body that nobody asked for is awaited while it is small, and stopped when it is not', async (t) => {
  const { port } = await start(t, { limits: { unreadBodyBytes: 100 }, run: () => hello() })
  const begin = [preface, frame(settings, 0, 0), post(1), post(3)]
  const { socket, frames } = speak(t, port, ...begin)
  await until(() => told(frames).includes('end 1') && told(frames).includes('end 3'))
  socket.write(Buffer.concat([frame(data, 0, 1, Buffer.alloc(60)), frame(data, 0, 3, Buffer.alloc(60))]))
  socket.write(Buffer.concat([frame(data, 0, 1, Buffer.alloc(60)), frame(data, endStream, 3), mark]))
  await until(() => told(frames).includes('mark'))
  assert.deepEqual(
    told(frames).filter((one) => one.startsWith('reset')),
    ['reset 1 0'],
  )
  // What was on its way when we reset is ignored; behind the client's own reset nothing may come.
  socket.write(Buffer.concat([frame(data, 0, 1, [1]), frame(reset, 0, 1, number(8)), frame(data, 0, 1, [1])]))
  await until(() => told(frames).includes('reset 1 5'))
})

test('a declared body that is too large to be awaited is stopped at once', async (t) => {
  const { port } = await start(t, { limits: { unreadBodyBytes: 100 }, run: () => hello() })
  const large = post(1, literal('content-length', '101'))
  const { frames } = speak(t, port, preface, frame(settings, 0, 0), large, post(3, literal('content-length', '100')))
  await until(() => told(frames).includes('end 3') && told(frames).includes('reset 1 0'))
  assert.ok(!told(frames).some((one) => one.startsWith('reset 3')))
})

test('drain: a stream that has its answer does not wait for the rest of its body', async (t) => {
  const { edge, port } = await start(t, { limits: { drainMs: 60_000 }, run: () => hello() })
  const { frames } = speak(t, port, preface, frame(settings, 0, 0), post(1))
  await until(() => told(frames).includes('end 1'))
  await edge.drain()
  await until(() => told(frames).includes('reset 1 0'))
})

test('more connections with answers under way than there are blocks of memory for', async (t) => {
  const body = Buffer.alloc(20_000, 'x')
  const { port } = await start(t, { run: () => hello({ body }) })
  const clients = Array.from({ length: 100 }, () => speak(t, port, preface, frame(settings, 0, 0), get(1), get(3)))
  await until(() => clients.every(({ frames }) => told(frames).includes('end 1') && told(frames).includes('end 3')))
  for (const { frames } of clients) assert.deepEqual([bytesOf(frames, 1), bytesOf(frames, 3)], [20_000, 20_000])
})

test('DATA beyond the window of a stream resets it', async (t) => {
  const { port } = await start(t, { run: () => new Promise(() => {}) })
  const piece = frame(data, 0, 1, Buffer.alloc(16_384))
  const client = speak(
    t,
    port,
    preface,
    frame(settings, 0, 0),
    post(1),
    ...Array.from({ length: 17 }, () => piece),
    mark,
  )
  await until(() => told(client.frames).includes('mark'))
  assert.deepEqual(told(client.frames)[0], 'reset 1 3')
})

test('silence: a body, a head and a connection', async (t) => {
  const { port, logged } = await start(t, {
    limits: { bodyIdleTimeoutMs: 60, headersTimeoutMs: 200, keepAliveTimeoutMs: 150 },
  })
  const body = speak(t, port, preface, frame(settings, 0, 0), post(1))
  await until(() => told(body.frames).includes('answer 1'))
  assert.equal((await logged(1))[0]!.error, 'client_timeout')
  const head = speak(t, port, preface, frame(settings, 0, 0), frame(headers, endStream, 1, getBlock))
  const idle: Client = speak(t, port, preface, frame(settings, 0, 0), get(1))
  await until(() => told(idle.frames).includes('goaway 0') && idle.socket.destroyed)
  await until(() => head.socket.destroyed)
})

test('drain: GOAWAY, what is under way finishes, nothing new begins', async (t) => {
  let finish: () => void = () => {}
  const { edge, port, seen } = await start(t, {
    limits: { drainMs: 60_000 },
    run: () =>
      new Promise((resolve) => {
        finish = () => resolve(hello())
      }),
  })
  const { socket, frames } = speak(t, port, preface, frame(settings, 0, 0), get(1))
  await until(() => seen.length === 1)
  const drained = edge.drain()
  await until(() => told(frames).includes('goaway 0'))
  socket.write(get(3))
  await until(() => told(frames).includes('reset 3 7'))
  finish()
  await drained
  assert.ok(told(frames).includes('end 1'))
  assert.equal(seen.length, 1)
})

test('random frames never do more than end their connection, and never with a bug of ours', async (t) => {
  const { port, seen } = await start(t, { run: () => hello({ body: Buffer.alloc(40_000) }) })
  let state = 7
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0
    return (state >>> 16) % below
  }
  const any = () => {
    const type = random(11)
    const stream = random(3) === 0 ? 0 : random(9)
    const joining = Buffer.concat([
      literal(':method', 'CONNECT'),
      literal(':protocol', 'websocket'),
      getBlock.subarray(1),
    ])
    const known = [
      get(1 + random(4) * 2),
      post(1 + random(4) * 2),
      frame(data, endStream, 1 + random(8), [1]),
      frame(headers, endHeaders, 1 + random(4) * 2, joining),
      frame(reset, 0, 1 + random(4) * 2, number(random(12))),
      set(random(10), random(3) === 0 ? random(100_000) : 65_535),
    ]
    if (random(3) === 0) return known[random(known.length)]!
    const length = type === ping ? 8 : type === window ? 4 : random(30)
    return frame(type, random(256), stream, Buffer.from(Array.from({ length }, () => random(256))))
  }
  const codes = new Set<string>()
  for (let round = 0; round < 200; round++) {
    const { socket, frames } = speak(t, port, preface, frame(settings, 0, 0), ...Array.from({ length: 20 }, any), mark)
    await until(() => socket.destroyed || told(frames).some((one) => one.startsWith('goaway') || one === 'mark'))
    for (const one of told(frames)) if (one.startsWith('goaway')) codes.add(one)
    socket.destroy()
  }
  assert.ok(!codes.has('goaway 2'), [...codes].join(', '))
  assert.ok(codes.size > 2)
  const client = speak(t, port, preface, frame(settings, 0, 0), get(1))
  await until(() => told(client.frames).includes('end 1'))
  assert.ok(seen.length > 10)
})
