/** Streams that carry what objects answer: nothing leaves once this node may not run objects any more. */
import { type Duplex, pipeline, type Readable, Transform } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'

/** Asked for every piece: after a pause of the whole process no timer has rung yet, but the clock is right. */
export type Passes = () => boolean

/** Why an answer of an object was held back. */
export function stoppedError(): EdgeError {
  return new EdgeError('object_away', 'This node may not run Durable Objects now: it lost its lease. (object_away)')
}

function fence(passes: Passes): Transform {
  return new Transform({
    transform(chunk, _encoding, done) {
      if (passes()) done(null, chunk)
      else done(stoppedError())
    },
    flush(done) {
      done(passes() ? null : stoppedError())
    },
  })
}

/** The same bytes while `passes`; breaks off at the first piece, or the end, that may not leave. */
export function fenceBody(body: Readable, passes: Passes): Readable {
  return pipeline(body, fence(passes), () => {})
}

/** Joins two connections; what comes from `inner` goes out only while `passes`. Both end together. */
export function joinFenced(outer: Duplex, inner: Duplex, passes: Passes): void {
  pipeline(outer, inner, fence(passes), outer, () => {
    outer.destroy()
    inner.destroy()
  })
}

/** Joins two connections that need no fence. */
export function joinStreams(outer: Duplex, inner: Duplex): void {
  pipeline(outer, inner, outer, () => {
    outer.destroy()
    inner.destroy()
  })
}
