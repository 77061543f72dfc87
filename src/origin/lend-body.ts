/**
 * A request's body for our client library, which destroys the bodies of requests that fail. The real one may be a
 * client's connection: destroyed, it could not be told what failed.
 */
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'

/** Reads on as the borrower does. Destroyed, it leaves `source` paused and whole; a source that breaks breaks it. */
export function lendBody(source: Readable): Readable {
  const lent = new Readable({
    read() {
      source.resume()
    },
    destroy(error, callback) {
      source.off('data', onData).off('end', onEnd).off('close', onClose).pause()
      callback(error)
    },
  })
  const onData = (chunk: Uint8Array) => {
    if (!lent.push(chunk)) source.pause()
  }
  const onEnd = () => {
    lent.push(null)
  }
  const onClose = () => {
    if (!source.readableEnded) lent.destroy(new EdgeError('client_gone', 'The request body broke off.'))
  }
  // An error is always followed by `close`; whoever owns the body hears of it too.
  source.on('error', () => {})
  source.on('data', onData).on('end', onEnd).on('close', onClose)
  source.pause()
  if (source.readableEnded) onEnd()
  else if (source.destroyed) onClose()
  return lent
}
