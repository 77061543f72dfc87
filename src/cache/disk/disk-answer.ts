import type { Readable } from 'node:stream'
import { streamBytes } from '../bytes-stream.ts'
import type { StoredAnswer, StoredHead } from '../store.ts'
import type { FileBody } from './record.ts'
import type { Shelf } from './shelf.ts'

/** Where an answer was found: it is current as long as its slot holds that record. */
export interface Spot {
  readonly slot: number
  readonly segment: number
  readonly offset: number
}

/** An answer from disk: its head and small body are read and checked; a large body is read and checked as it streams. */
export class DiskAnswer implements StoredAnswer {
  readonly head: StoredHead
  readonly bodyBytes: number
  readonly body: Uint8Array | FileBody
  /** Undefined while it waits to be written. */
  readonly spot: Spot | undefined
  /** How often it was found before, up to 3. */
  readonly usesBefore: number
  readonly #shelf: Shelf

  constructor(shelf: Shelf, head: StoredHead, body: Uint8Array | FileBody, spot: Spot | undefined, usesBefore: number) {
    this.#shelf = shelf
    this.head = head
    this.body = body
    this.bodyBytes = 'file' in body ? body.bytes : body.length
    this.spot = spot
    this.usesBefore = usesBefore
  }

  bytes(): Uint8Array | undefined {
    return 'file' in this.body ? undefined : this.body
  }

  stream(range?: { readonly start: number; readonly end: number }): Readable {
    if (!('file' in this.body)) return streamBytes(this.body, range)
    return this.#shelf.bodies.stream(this.body, range, () => this.drop())
  }

  get current(): boolean {
    const { spot } = this
    return spot !== undefined && this.#shelf.index.holds(spot.slot, spot.segment, spot.offset)
  }

  drop(): void {
    if (this.spot !== undefined && this.current) this.#shelf.remove(this.spot.slot)
  }
}
