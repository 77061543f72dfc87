/** A WebSocket to a program that can be ended from our side with a code, as a version that goes away has to. */
import { Duplex } from 'node:stream'
import { createFrameCursor } from '#/http/websocket-cursor.ts'
import type { Passes } from './fence-stream.ts'

export interface CuttableSocket {
  /** Carries what `inner` carries, both ways. */
  readonly outer: Duplex
  /** Sends a close frame with this code (RFC 6455 §7.4) if no frame is half sent, and ends the connection. */
  cut(code: number): void
}

/** `passes`: asked for each piece that comes from the program; nothing more comes once it says no. */
export function cuttable(inner: Duplex, passes?: Passes): CuttableSocket {
  const frames = createFrameCursor()
  const outer = new Duplex({
    read: () => void inner.resume(),
    write(chunk, _encoding, done) {
      if (inner.destroyed) done()
      else if (inner.write(chunk)) done()
      else inner.once('drain', done)
    },
    final(done) {
      if (!inner.destroyed) inner.end()
      done()
    },
    destroy(error, done) {
      inner.destroy()
      done(error)
    },
  })
  inner.on('data', (chunk: Buffer) => {
    if (passes?.() === false) return void inner.destroy()
    frames.advance(chunk)
    if (!outer.push(chunk)) inner.pause()
  })
  inner.on('end', () => outer.push(null))
  inner.on('error', () => outer.destroy())
  inner.on('close', () => {
    if (!outer.readableEnded) outer.push(null)
  })
  return {
    outer,
    cut(code) {
      if (outer.destroyed || inner.destroyed) return
      if (frames.between) outer.push(Uint8Array.of(0x88, 2, code >> 8, code & 0xff))
      outer.push(null)
      inner.removeAllListeners('data')
      inner.destroy()
    },
  }
}
