/**
 * Frames of HTTP/2 (RFC 9113 §4, §6, §7): their numbers, and how the small ones are written.
 */

export const frameType = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const

export const flag = { endStream: 1, ack: 1, endHeaders: 4, padded: 8, priority: 32 } as const

/** §7. */
export const h2Error = {
  none: 0,
  protocol: 1,
  internal: 2,
  flowControl: 3,
  streamClosed: 5,
  frameSize: 6,
  refusedStream: 7,
  cancel: 8,
  compression: 9,
  calm: 11,
} as const

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const frameHeadBytes = 9
/** §6.5.2: what every endpoint takes, and all that we take. */
export const frameBytes = 16_384
export const largestWindow = 0x7fff_ffff
export const defaultWindow = 65_535

/** A frame that ends the connection (§5.4.1), or only its stream (§5.4.2). */
export interface Fault {
  readonly code: number
  readonly scope: 'connection' | 'stream'
  readonly why: string
}

export function connectionFault(code: number, why: string): Fault {
  return { code, scope: 'connection', why }
}

export function streamFault(code: number, why: string): Fault {
  return { code, scope: 'stream', why }
}

export function writeFrameHead(
  target: Buffer,
  at: number,
  length: number,
  type: number,
  flags: number,
  stream: number,
): number {
  target[at] = length >>> 16
  target[at + 1] = (length >>> 8) & 255
  target[at + 2] = length & 255
  target[at + 3] = type
  target[at + 4] = flags
  target.writeUInt32BE(stream, at + 5)
  return at + frameHeadBytes
}

/** A frame whose payload is 32-bit numbers: WINDOW_UPDATE, RST_STREAM, GOAWAY. */
export function numbersFrame(type: number, stream: number, ...numbers: readonly number[]): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + numbers.length * 4)
  let at = writeFrameHead(frame, 0, numbers.length * 4, type, 0, stream)
  for (const number of numbers) at = frame.writeUInt32BE(number >>> 0, at)
  return frame
}

/** Setting numbers and values (§6.5.2). */
export function settingsFrame(settings: readonly (readonly [number, number])[]): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + settings.length * 6)
  let at = writeFrameHead(frame, 0, settings.length * 6, frameType.settings, 0, 0)
  for (const [name, value] of settings) at = frame.writeUInt32BE(value, frame.writeUInt16BE(name, at))
  return frame
}

export const settingsAck: Buffer = (() => {
  const frame = Buffer.alloc(frameHeadBytes)
  writeFrameHead(frame, 0, 0, frameType.settings, flag.ack, 0)
  return frame
})()

export function pingAck(payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(frameHeadBytes + 8)
  payload.copy(frame, writeFrameHead(frame, 0, 8, frameType.ping, flag.ack, 0))
  return frame
}

export const setting = {
  tableBytes: 1,
  push: 2,
  streams: 3,
  window: 4,
  frameBytes: 5,
  listBytes: 6,
  /** RFC 8441 §3. */
  connectProtocol: 8,
} as const

/** What a client may tell us that matters to us. */
export interface PeerSettings {
  window: number
}

/** Changes `peer`; a fault for values that §6.5.2 forbids. */
export function readSettings(payload: Buffer, peer: PeerSettings): Fault | undefined {
  if (payload.length % 6 !== 0) return connectionFault(h2Error.frameSize, 'SETTINGS of a length that is no settings')
  for (let at = 0; at < payload.length; at += 6) {
    const name = payload.readUInt16BE(at)
    const value = payload.readUInt32BE(at + 2)
    if (name === setting.push && value > 1) return connectionFault(h2Error.protocol, 'ENABLE_PUSH is 0 or 1')
    if (name === setting.window) {
      if (value > largestWindow) return connectionFault(h2Error.flowControl, 'INITIAL_WINDOW_SIZE above 2^31-1')
      peer.window = value
    }
    // No frame of ours is larger than the least that it may say: small frames let streams take turns.
    if (name === setting.frameBytes && (value < frameBytes || value > 0xff_ffff))
      return connectionFault(h2Error.protocol, 'MAX_FRAME_SIZE out of range')
  }
  return undefined
}

/** The payload without its padding (§6.1), or undefined when there is more padding than payload. */
export function unpad(payload: Buffer, flags: number): Buffer | undefined {
  if ((flags & flag.padded) === 0) return payload
  const padding = payload[0]
  if (padding === undefined || padding >= payload.length) return undefined
  return payload.subarray(1, payload.length - padding)
}
