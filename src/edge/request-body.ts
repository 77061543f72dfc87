/**
 * A request body between the connection and whoever reads it: counted, timed, and never more in memory than a
 * stream's high-water mark.
 */
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'

export interface RequestBody {
  readonly stream: Readable
  /** Bytes received so far. */
  readonly bytes: number
  /** All of it has arrived, read or not. */
  readonly complete: boolean
  /** Bytes still to come; Infinity when nobody said. */
  readonly remaining: number
  /** Somebody began to read it. */
  readonly started: boolean
  /** Waiting for the client's next bytes right now. */
  readonly waiting: boolean
  /** Reads and forgets what is left. */
  discard(): void
  fail(error: EdgeError): void
  /** The client was silent for too long. */
  timeOut(): void
}

export interface RequestBodyOptions {
  readonly declaredBytes: number | undefined
  readonly limitBytes: number
  /** Called when reading begins: the moment for `100 Continue` (RFC 9110 §10.1.1). */
  onStart?(): void
  /** True when the reader waits for the client, false when it does not: starts and stops the idle timer. */
  onWait(waiting: boolean): void
  onFail(error: EdgeError): void
}

/** `source` is Node's request or HTTP/2 stream, not yet flowing. */
export function createRequestBody(source: Readable, options: RequestBodyOptions): RequestBody {
  let bytes = 0
  let complete = false
  let started = false
  let discarding = false
  let waiting = false
  let overflown = false

  function wait(now: boolean): void {
    if (waiting === now) return
    waiting = now
    options.onWait(now)
  }

  function onData(chunk: Buffer): void {
    bytes += chunk.length
    if (overflown) return
    if (bytes > options.limitBytes) {
      overflown = true
      options.onFail(new EdgeError('body_too_large', `The body has more than ${options.limitBytes} bytes.`))
    } else if (!discarding && !stream.push(chunk)) {
      source.pause()
      wait(false)
    }
  }

  function onEnd(): void {
    complete = true
    wait(false)
    if (!stream.destroyed) stream.push(null)
  }

  function onClose(): void {
    if (complete) return
    wait(false)
    fail(new EdgeError('client_gone', 'The client closed the connection inside its request body.'))
  }

  function start(): void {
    if (started) return
    started = true
    options.onStart?.()
    source.on('data', onData)
    source.on('end', onEnd)
  }

  function fail(error: EdgeError): void {
    if (!complete && !stream.destroyed) stream.destroy(error)
  }

  const stream = new Readable({
    read() {
      start()
      if (complete) return
      source.resume()
      wait(true)
    },
    destroy(error, done) {
      discarding = true
      wait(false)
      done(error)
    },
  })
  // A body that fails when nobody reads it is no bug; whoever reads it has listeners of their own.
  stream.on('error', () => {})
  source.on('close', onClose)
  source.on('error', onClose)

  return {
    stream,
    get bytes() {
      return bytes
    },
    get complete() {
      return complete || (source as Readable & { complete?: boolean }).complete === true
    },
    get started() {
      return started
    },
    get waiting() {
      return waiting
    },
    get remaining() {
      return options.declaredBytes === undefined ? Number.POSITIVE_INFINITY : options.declaredBytes - bytes
    },
    timeOut() {
      options.onFail(new EdgeError('client_timeout', 'The request body did not arrive in time.'))
    },
    discard() {
      discarding = true
      if (started && !complete) source.resume()
    },
    fail,
  }
}
