/**
 * What a client may send on one HTTP/2 connection, all streams together (RFC 9113 §6.9).
 */
import { defaultWindow, frameType, numbersFrame } from './h2-frames.ts'

/** What the bodies of a connection may hold in memory together. */
const windowBytes = 1024 * 1024

export interface ReceiveWindow {
  /** Announces the whole window; it begins with less. */
  open(): void
  /** False when the client sent more than it may. */
  take(bytes: number): boolean
  /** Bytes that were read or thrown away; told the client a quarter of the window at a time. */
  credit(bytes: number): void
}

export function createReceiveWindow(queue: (frame: Buffer) => void): ReceiveWindow {
  let left = defaultWindow
  let uncredited = 0
  return {
    open() {
      queue(numbersFrame(frameType.window, 0, windowBytes - defaultWindow))
      left = windowBytes
    },
    take(bytes) {
      left -= bytes
      return left >= 0
    },
    credit(bytes) {
      uncredited += bytes
      if (uncredited < windowBytes / 4) return
      queue(numbersFrame(frameType.window, 0, uncredited))
      left += uncredited
      uncredited = 0
    },
  }
}
