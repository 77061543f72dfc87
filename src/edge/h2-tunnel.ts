/**
 * A stream of an extended CONNECT (RFC 8441) as a two-way connection: its DATA frames are the bytes of a WebSocket.
 */
import { Duplex } from 'node:stream'
import { h2Error } from './h2-frames.ts'
import type { H2Stream } from './h2-stream.ts'

/** Its end is END_STREAM; destroyed before that it resets the stream with CANCEL (RFC 8441 §5). */
export function createTunnel(stream: H2Stream, reset: (code: number) => void): Duplex {
  const source = stream.source!
  let onRoom: (() => void) | undefined

  function proceed(): void {
    const done = onRoom
    onRoom = undefined
    done?.()
  }

  const tunnel = new Duplex({
    read: () => void source.resume(),
    write(chunk: Uint8Array, _encoding, done) {
      if (stream.write(chunk)) done()
      else onRoom = done
    },
    final(done) {
      stream.end()
      done()
    },
    destroy(error, done) {
      if (!stream.ended && !stream.destroyed) reset(h2Error.cancel)
      done(error)
    },
  })
  stream.on('drain', proceed)
  stream.on('close', () => tunnel.destroy())
  source.on('data', (chunk: Uint8Array) => {
    if (!tunnel.push(chunk)) source.pause()
  })
  source.on('end', () => tunnel.push(null))
  return tunnel
}
