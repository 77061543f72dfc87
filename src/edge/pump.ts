/**
 * Moves bytes from a source to a client no faster than the client reads.
 */
import type { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { shelfOf } from '#/core/lent-chunks.ts'
import { trailersOf } from '#/core/trailers.ts'
import { clientGone } from './accepted.ts'
import { areFieldsSound } from './check-fields.ts'

/** As much of a Writable as is needed to be written to. */
export interface Sink {
  readonly destroyed: boolean
  /** False when the next bytes should wait for `drain`. `sent`: called once nothing reads the chunk any more, or never. */
  write(chunk: Uint8Array, sent?: () => void): boolean
  end(): void
  on(event: 'drain' | 'close', listener: () => void): unknown
  off(event: 'drain' | 'close', listener: () => void): unknown
}

export interface PumpOptions {
  /** Content-Length promised; a source that gives more or less is cut, or the next answer would be misread. */
  readonly declared: number | undefined
  /** True while the client does not read: starts and stops the idle timer. */
  onStall(stalled: boolean): void
  /** Before `target.end()`, where the source has fields behind its end. */
  onTrailers?: ((fields: HeaderList) => void) | undefined
}

/** Resolves with the bytes moved after `target.end()`; rejects with `origin_failed` or `client_gone`. */
export function pump(source: Readable, target: Sink, options: PumpOptions): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>()
  const shelf = shelfOf(source)
  let bytes = 0
  let done = false

  function settle(error: EdgeError | undefined): void {
    if (done) return
    done = true
    source.off('data', onData)
    source.off('end', onEnd)
    source.off('close', onSourceClose)
    target.off('drain', onDrain)
    target.off('close', onTargetClose)
    options.onStall(false)
    if (error === undefined) resolve(bytes)
    else {
      source.destroy()
      reject(error)
    }
  }

  function onData(chunk: Uint8Array): void {
    bytes += chunk.length
    if (options.declared !== undefined && bytes > options.declared) settle(wrongLength())
    else if (!(shelf === undefined ? target.write(chunk) : target.write(chunk, () => shelf.giveBack(chunk)))) {
      source.pause()
      options.onStall(true)
    }
  }

  function onDrain(): void {
    options.onStall(false)
    source.resume()
  }

  function onEnd(): void {
    const complete = options.declared === undefined || bytes === options.declared
    if (complete) {
      const trailers = options.onTrailers && trailersOf(source)
      if (trailers !== undefined && areFieldsSound(trailers)) options.onTrailers!(trailers)
      target.end()
    }
    settle(complete ? undefined : wrongLength())
  }

  function onError(cause: Error): void {
    settle(cause instanceof EdgeError ? cause : new EdgeError('origin_failed', 'The answer broke off.', { cause }))
  }

  function onSourceClose(): void {
    settle(new EdgeError('origin_failed', 'The answer broke off.'))
  }

  function onTargetClose(): void {
    settle(clientGone())
  }

  function wrongLength(): EdgeError {
    return new EdgeError('origin_failed', 'The answer was not as long as its Content-Length said.')
  }

  source.on('error', onError)
  if (target.destroyed) settle(clientGone())
  else if (source.destroyed && !source.readableEnded) settle(new EdgeError('origin_failed', 'The answer broke off.'))
  else {
    target.on('drain', onDrain)
    target.on('close', onTargetClose)
    source.on('end', onEnd)
    source.on('close', onSourceClose)
    source.on('data', onData)
  }
  return promise
}
