/** The line between a node and a cell: what goes over it arrives as it was, and nonsense from a cell only cuts it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { PackedHead } from './packed-head.ts'
import { packAnswer, packRun, unpackAnswer, unpackRun } from './request-heads.ts'
import { openLine } from './wire.ts'
import { InBody } from './wire-body.ts'
import type { InCall, Line, Message } from './wire-messages.ts'

const MiB = 1024 * 1024
const windowBytes = 256 * 1024

async function socketPair(t: TestContext): Promise<[Socket, Socket]> {
  const folder = mkdtempSync(join(tmpdir(), 'wire-'))
  const server = createServer().listen(join(folder, 's'))
  const far = connect(join(folder, 's'))
  const [near] = (await once(server, 'connection')) as [Socket]
  t.after(() => {
    near.destroy()
    far.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  return [near, far]
}

interface Opened {
  readonly near: Line
  /** Why it was cut. */
  readonly cut: Promise<string>
  readonly far: Socket
}

/** A line whose other end is a plain socket. */
async function openNear(t: TestContext, onCall: (call: InCall) => void = () => {}): Promise<Opened> {
  const [socket, far] = await socketPair(t)
  const { promise: cut, resolve: onCut } = Promise.withResolvers<string>()
  return { near: openLine(socket, { onCall, onTell() {}, onCut, frameBytes: 4 * MiB, windowBytes }), cut, far }
}

async function bytesOf({ body }: Message): Promise<Uint8Array | null> {
  if (!(body instanceof InBody)) return body
  const parts: Uint8Array[] = []
  for (let part = await body.read(); part !== null; part = await body.read()) parts.push(part)
  return Buffer.concat(parts)
}

const patterned = (bytes: number) => Buffer.alloc(bytes, 'every byte of it is looked at')
const heads = [
  { do: 'something', text: 'ä € 😀', list: [1, null, true] },
  new PackedHead([0, 1, 0xffff_ffff], ['', 'plain', 'ä', '€', '😀', '\0\n']),
  new PackedHead([], []),
]

test('heads and bodies arrive as they were, whatever pieces they come in', async (t) => {
  const { near, far: socket } = await openNear(t)
  // What arrives is handed on a byte at a time at first, then in pieces that no frame fits.
  const [inner, outer] = await socketPair(t)
  let pieces = 0
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length; ) {
      const length = pieces++ < 500 ? 1 : 60_001
      inner.write(chunk.subarray(at, at + length))
      at += length
    }
  })
  inner.pipe(socket)
  const far = openLine(outer, {
    frameBytes: 4 * MiB,
    windowBytes,
    onCut: () => {},
    async onCall(call) {
      const body = await bytesOf(call)
      call.reply({ head: call.packed ?? call.head, body } as Parameters<InCall['reply']>[0])
    },
  })
  for (const head of heads)
    for (const bytes of [null, 0, 5, 70_000, 3 * MiB]) {
      const body = bytes === null ? null : patterned(bytes)
      const message = await near.call(head, body).reply
      assert.deepEqual(message.packed ?? message.head, head)
      assert.deepEqual(await bytesOf(message), body)
    }
  far.close()
})

test('bodies that stream wait for their readers, and end with their trailers', async (t) => {
  const [one, other] = await socketPair(t)
  const { promise: taken, resolve } = Promise.withResolvers<InCall>()
  const common = { frameBytes: 4 * MiB, windowBytes, onCut: () => {} }
  const near = openLine(one, { ...common, onCall: () => {} })
  openLine(other, { ...common, onCall: resolve })
  const call = near.call({ do: 'take' }, 'stream')
  const full = call.out!.write(patterned(windowBytes + 1))
  assert.ok(full instanceof Promise)
  call.out!.end(['x-end', 'yes'])
  const arrived = await taken
  assert.deepEqual(await bytesOf(arrived), patterned(windowBytes + 1))
  assert.deepEqual((arrived.body as InBody).trailers, ['x-end', 'yes'])
  arrived.reply({ head: {}, body: null })
  await call.reply
})

test('a dozen frames leave at once, fewer at the end of the round', async (t) => {
  const { near, far } = await openNear(t)
  const written = () => near.waitsSince === undefined
  for (let count = 1; count < 12; count++) near.tell({ count })
  assert.equal(written(), false)
  near.tell({ count: 12 })
  assert.equal(written(), true)
  near.tell({ count: 13 })
  assert.equal(written(), false)
  let received = 0
  while (received < 13) {
    const [chunk] = (await once(far, 'data')) as [Buffer]
    for (let at = 0; at < chunk.length; at += 4 + chunk.readUInt32LE(at)) received++
  }
  assert.equal(written(), true)
})

function frame(type: number, call: number, payload: readonly number[] | Buffer): Buffer {
  const bytes = Buffer.alloc(9 + payload.length)
  bytes.writeUInt32LE(5 + payload.length, 0)
  bytes[4] = type
  bytes.writeUInt32LE(call, 5)
  bytes.set(payload, 9)
  return bytes
}

const jsonMessage = (json: string) => Buffer.from([0, json.length, 0, 0, 0, ...Buffer.from(json)])
const packed = (...bytes: number[]) => Buffer.from([4, bytes.length, 0, 0, 0, ...bytes])
const [call, reply, note, end, fail, credit, tell] = [1, 0x82, 0x83, 0x85, 0x86, 0x88, 9]

/** Each is what the other end says while our call waits, whose number is the first of all. */
const nonsense: readonly { what: string; bytes: (ours: number) => Buffer }[] = [
  { what: 'a frame without a call', bytes: () => Buffer.from([4, 0, 0, 0, 1, 0, 0, 0]) },
  { what: 'a frame of 4 GiB', bytes: () => Buffer.from([255, 255, 255, 255, 1]) },
  { what: 'an unknown type', bytes: (ours) => frame(0x80 | 77, ours, []) },
  { what: 'a message without a head', bytes: () => frame(call, 1, [0, 0]) },
  { what: 'a head longer than its frame', bytes: () => frame(call, 1, [0, 9, 0, 0, 0, 123]) },
  { what: 'a head that is no JSON', bytes: () => frame(call, 1, jsonMessage('{')) },
  { what: 'a head that is null', bytes: () => frame(call, 1, jsonMessage('null')) },
  { what: 'a word that is a number', bytes: () => frame(tell, 0, jsonMessage('7')) },
  { what: 'a packed head without counts', bytes: () => frame(call, 1, packed(0, 0, 0)) },
  { what: 'a packed head with more texts than bytes', bytes: () => frame(call, 1, packed(0, 0, 255, 255)) },
  { what: 'a packed text longer than all', bytes: () => frame(call, 1, packed(0, 0, 1, 0, 9, 0, 0, 0, 97)) },
  { what: 'packed texts shorter than all', bytes: () => frame(call, 1, packed(0, 0, 1, 0, 1, 0, 0, 0, 97, 97)) },
  { what: 'a reply cut short', bytes: (ours) => frame(reply, ours, [0]) },
  { what: 'a second reply', bytes: (ours) => Buffer.concat([streaming(ours), streaming(ours)]) },
  { what: 'a note that is no head', bytes: (ours) => frame(note, ours, jsonMessage('[')) },
  { what: 'trailers that are a number', bytes: (ours) => frame(end, ours, Buffer.from('5')) },
  { what: 'trailers of numbers', bytes: (ours) => frame(end, ours, Buffer.from('[1,2]')) },
  { what: 'a trailer without a value', bytes: (ours) => frame(end, ours, Buffer.from('["a"]')) },
  { what: 'a failure without words', bytes: (ours) => frame(fail, ours, Buffer.from('{"code":{}}')) },
  { what: 'a failure that is null', bytes: (ours) => frame(fail, ours, Buffer.from('null')) },
  { what: 'credit without a number', bytes: (ours) => frame(credit, ours, [1]) },
]

/** A reply whose body is still to come, so that the call goes on. */
const streaming = (ours: number) => frame(reply, ours, [2, 2, 0, 0, 0, ...Buffer.from('{}')])

for (const { what, bytes } of nonsense)
  test(`${what} cuts the line, and its calls fail`, { timeout: 20_000 }, async (t) => {
    const { near, cut, far } = await openNear(t)
    const { reply: answer } = near.call({ do: 'wait' }, 'stream')
    answer.catch(() => {})
    const [asked] = (await once(far, 'data')) as [Buffer]
    far.write(bytes(asked.readUInt32LE(5)))
    assert.match(await cut, /frame/)
    await assert.rejects(near.call({ do: 'more' }, null).reply, { code: 'cut' })
  })

test('what is packed of requests and answers is unpacked the same', () => {
  const client = { address: '::1', port: 40_000, serverAddress: '::2', httpVersion: '1.1' } as const
  const common = { program: 'd1', run: 0x7fff_ffff, requestId: '0f', method: 'GET', uri: 'http://ä.localhost/€?😀' }
  const runs = [
    { ...common, headers: [], client, originalNames: [] },
    { ...common, headers: ['host', 'a', 'x', ''], client, originalNames: ['Host', 'X'] },
    { ...common, headers: [], client: { ...client, tls: { version: 'TLSv1.3', cipher: 'C' } }, originalNames: ['A'] },
    {
      ...common,
      headers: ['a', 'b'],
      client: { ...client, httpVersion: '2', tls: { version: 'TLSv1.3', cipher: 'C', serverName: '' } } as const,
      originalNames: [],
    },
  ]
  for (const run of runs) assert.deepEqual(unpackRun(packRun(run)), run)
  for (const start of ['cold', 'warm', 'pooled'] as const) {
    const answer = { status: 200, headers: ['a', 'ä'], start }
    assert.deepEqual(unpackAnswer(packAnswer(answer)), answer)
    assert.deepEqual(unpackAnswer(packAnswer({ ...answer, over: true })), { ...answer, over: true })
  }
})

test('what is no answer is none, whoever sends it', () => {
  assert.equal(unpackAnswer(undefined), undefined)
  for (const [numbers, texts] of [
    [[], []],
    [[200, 0], []],
    [[200, 0, 0, 0], []],
    [[99, 0, 0], []],
    [[1000, 0, 0], []],
    [[200, 3, 0], []],
    [[200, 0, 0], ['a name alone']],
  ] as const)
    assert.equal(unpackAnswer(new PackedHead(numbers, texts)), undefined, JSON.stringify([numbers, texts]))
})
