/**
 * Connections whose bytes are read into one buffer that all of them share. Node makes a buffer for each read otherwise;
 * making and collecting them is a tenth of what a hit costs, and more with many connections.
 */
import { Socket } from 'node:net'

const sharedBytes = 64 * 1024
const shared = Buffer.allocUnsafeSlow(sharedBytes)

/** Takes bytes where they lie; they are others as soon as it returns. False: no more are read until somebody reads the socket. */
export type TakeBytes = (bytes: Buffer) => unknown

/** A socket like any other, until somebody takes its bytes in place. */
export class InPlaceSocket extends Socket {
  /** Instead of `data` events; what was put back by `unshift` still comes as `data`. */
  onBytes: TakeBytes | undefined = undefined

  constructor(handle: object) {
    const onread = { buffer: shared, callback: (length: number) => this.#onRead(length) }
    super({ handle, allowHalfOpen: true, onread } as unknown as ConstructorParameters<typeof Socket>[0])
  }

  #onRead(length: number): boolean {
    const bytes = shared.subarray(0, length)
    if (this.onBytes === undefined) return this.push(Buffer.from(bytes))
    return this.onBytes(bytes) !== false
  }
}

/**
 * The same connection, read in place. `accepted` comes from a server with `pauseOnConnect`; it is of no use afterwards. On a
 * Node whose handles are others it is handed back, reading as usual.
 */
export function readInPlace(accepted: Socket): Socket {
  const holder = accepted as unknown as { _handle: { useUserBuffer?: unknown } | null }
  const handle = holder._handle
  if (typeof handle?.useUserBuffer !== 'function') return accepted.resume()
  holder._handle = null
  accepted.destroy()
  return new InPlaceSocket(handle)
}
