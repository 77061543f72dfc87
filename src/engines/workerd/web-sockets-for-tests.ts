/** A WebSocket client on the raw connection that a program's answer hands over (RFC 6455 §5.2). */
import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import type { ProgramAnswer } from '#/core/ports.ts'
import { get } from './own-cells-for-tests.ts'

export interface TestSocket {
  send(text: string): void
  /** The next message; `close CODE` for a close frame, `end` when the connection ended without one. */
  next(): Promise<string>
  readonly duplex: Duplex
}

export function upgradeTo(path: string) {
  const headers = ['Sec-WebSocket-Key', 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version', '13']
  return get(path, { headers, wantsUpgrade: true })
}

export function talkTo(answer: ProgramAnswer): TestSocket {
  assert.equal(answer.status, 101)
  const duplex = answer.upgraded!
  const frames = framesOf(duplex)
  return {
    duplex,
    send(text) {
      const payload = Buffer.from(text)
      assert.ok(payload.length < 126)
      duplex.write(Buffer.concat([Buffer.of(0x81, 0x80 | payload.length, 0, 0, 0, 0), payload]))
    },
    async next() {
      const { value } = await frames.next()
      return value ?? 'end'
    },
  }
}

async function* framesOf(duplex: Duplex): AsyncGenerator<string, undefined> {
  let rest = Buffer.alloc(0)
  for await (const chunk of duplex) {
    rest = Buffer.concat([rest, chunk as Buffer])
    while (rest.length >= 2 && rest.length >= 2 + (rest[1]! & 0x7f)) {
      const payload = rest.subarray(2, 2 + (rest[1]! & 0x7f))
      yield rest[0] === 0x88 ? `close ${payload.readUInt16BE()}` : payload.toString()
      rest = rest.subarray(2 + payload.length)
    }
  }
  return undefined
}
