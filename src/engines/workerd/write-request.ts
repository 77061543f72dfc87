/** Writes a request to a cell's connection: its head as one text, its body no faster than the cell reads. */
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import type { HeaderList } from '#/core/exchange.ts'
import { CellFailure } from './cell-failure.ts'
import { type CellRequest, controlFields } from './cell-request.ts'

const forbidden = /[\r\n\0]/
/** Lengths of the names that are ours to write: most fields skip the lower-casing. */
const ownedLengths = new Set([...controlFields, 'content-length'].map((name) => name.length))

/** `length` undefined: chunked when there is a body. One string, so that it leaves in one write. */
export function requestHead(request: CellRequest, length: number | undefined): string {
  if (forbidden.test(request.path) || forbidden.test(request.authority)) throw unsendable()
  let head = `${request.method} ${request.path} HTTP/1.1\r\nHost: ${request.authority}\r\n`
  const { control, headers, body } = request
  if (control !== undefined)
    for (let index = 0; index < control.length; index += 2) head += `${control[index]}: ${control[index + 1]}\r\n`
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!
    const value = headers[index + 1]!
    if (ownedLengths.has(name.length)) {
      const lower = name.toLowerCase()
      if (controlFields.has(lower) || (lower === 'content-length' && body !== null)) continue
    }
    if (forbidden.test(name) || forbidden.test(value)) throw unsendable()
    head += `${name}: ${value}\r\n`
  }
  if (body !== null) head += length === undefined ? 'Transfer-Encoding: chunked\r\n' : `Content-Length: ${length}\r\n`
  if (request.wantsUpgrade === true) head += 'Connection: Upgrade\r\nUpgrade: websocket\r\n'
  return `${head}\r\n`
}

/** Whatever the front let through, a CR, LF or NUL would split the request. */
function unsendable(): CellFailure {
  return new CellFailure('protocol', 'A request with a control character in its head was not sent.', {
    responded: false,
  })
}

/** Bytes of the body that follows, as its sender announced them. */
export function declaredLength(headers: HeaderList): number | undefined {
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index]!.length !== 14 || headers[index]!.toLowerCase() !== 'content-length') continue
    const value = headers[index + 1]!
    return /^[0-9]{1,15}$/.test(value) ? Number(value) : undefined
  }
  return undefined
}

/** Pumps a body with backpressure. Returns how to stop (the body itself is left to its owner). */
export function sendBody(
  body: Readable,
  socket: Socket,
  isChunked: boolean,
  done: (error?: unknown) => void,
): () => void {
  const onData = (chunk: Buffer | string) => {
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk
    if (bytes.length === 0) return
    let room: boolean
    if (isChunked) {
      socket.cork()
      socket.write(`${bytes.length.toString(16)}\r\n`, 'latin1')
      socket.write(bytes)
      room = socket.write('\r\n', 'latin1')
      socket.uncork()
    } else room = socket.write(bytes)
    if (!room) body.pause()
  }
  const onDrain = () => void body.resume()
  const stop = () => {
    body.off('data', onData)
    body.off('end', onEnd)
    body.off('error', onError)
    body.off('close', onClose)
    socket.off('drain', onDrain)
  }
  const onEnd = () => {
    stop()
    if (isChunked) socket.write('0\r\n\r\n', 'latin1')
    done()
  }
  const onError = (error: unknown) => {
    stop()
    done(error)
  }
  const onClose = () => onError(new Error('The request body ended early.'))
  body.on('data', onData)
  body.on('end', onEnd)
  body.on('error', onError)
  body.on('close', onClose)
  socket.on('drain', onDrain)
  return stop
}
