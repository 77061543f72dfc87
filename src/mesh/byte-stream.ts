/** Streams as their users see them: made of one HTTP/2 stream each. */
import { constants, type Http2Stream } from 'node:http2'
import { Duplex, Readable } from 'node:stream'
import type { NodeId } from '#/core/pops.ts'
import { endField, endToField } from './head-frame.ts'
import { brokeOff } from './receive.ts'

/** The answer's body, for who asked: to destroy it is to give the call up. */
export function answerBody(stream: Http2Stream): Readable {
  return new Readable({
    read: () => void stream.resume(),
    destroy(error, done) {
      if (!stream.closed && !stream.readableEnded) stream.close(constants.NGHTTP2_CANCEL)
      done(error)
    },
  })
}

/** The request's body, for who answers: to destroy it is to read no more of it, the answer still goes out. */
export function requestBody(stream: Http2Stream): Readable {
  return new Readable({
    read: () => void stream.resume(),
    destroy(error, done) {
      stream.pause()
      done(error)
    },
  })
}

/** Both ways, each with its own end. `begin` is called before the first byte goes out. */
export function tunnelEnd(stream: Http2Stream, other: NodeId, begin: () => void): Duplex {
  stream.on('wantTrailers', () => {
    if (!stream.destroyed) stream.sendTrailers({ [endField]: endToField(undefined) })
  })
  const tunnel = new Duplex({
    read: () => void stream.resume(),
    write(chunk: Buffer, _, done) {
      begin()
      stream.write(chunk, done)
    },
    final(done) {
      begin()
      stream.end(done)
    },
    destroy(error, done) {
      if (!stream.closed && !(stream.readableEnded && stream.writableFinished))
        stream.close(error === null ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_INTERNAL_ERROR)
      done(error)
    },
  })
  // After the other side's end nothing more arrives that would tell that it is gone.
  stream.once('close', () => {
    if (!stream.writableFinished) tunnel.destroy(brokeOff(other))
  })
  return tunnel
}
