/**
 * One body from an origin, read once, given to everybody who waits for it and to the store while it arrives.
 */
import { Readable } from 'node:stream'
import type { HeaderList } from '#/core/exchange.ts'
import { setTrailers, trailersOf } from '#/core/trailers.ts'
import type { Bytes } from '#/core/units.ts'
import type { BodyWriter, StoredAnswer } from './store.ts'

export interface FanOut {
  /** All bytes are still at hand, so that one more reader may join. */
  readonly joinable: boolean
  readonly readers: number
  /** Of the whole body, once all of it has arrived. */
  readonly length: Bytes | undefined
  /** From the first byte on; breaks with the error that the source broke with. */
  follow(): Readable
  /** Nothing of it will be stored; readers go on. */
  dropWriter(): void
  /** Ends the source when nobody reads. */
  giveUp(): void
  /** Settles when the source ended: what was stored, if anything was. Never rejects. */
  readonly done: Promise<StoredAnswer | undefined>
}

export interface FanOutOptions {
  readonly source: Readable
  readonly writer: BodyWriter | undefined
  /** So many bytes are kept for readers to come, and run ahead of the slowest reader at most. */
  readonly keepBytes: Bytes
  /** A body that turns out to be larger is not stored. */
  readonly storeBytes: Bytes
  /** Bytes promised by Content-Length. */
  readonly declared: Bytes | undefined
  /** Nobody is about to read: without a writer there is no use in going on. */
  readonly unread: boolean
  /** Asked when all has arrived: may it be stored still? */
  mayFinish(): boolean
  /** The last reader went away before the end: go on (for the store) or end it. */
  onDeserted(received: Bytes): 'go-on' | 'end'
}

interface Reader {
  readonly stream: Readable
  /** Index of its next chunk, counted from the first ever. */
  next: number
  wants: boolean
}

export function createFanOut(options: FanOutOptions): FanOut {
  const { source, keepBytes, declared } = options
  const readers = new Set<Reader>()
  const finished = Promise.withResolvers<StoredAnswer | undefined>()
  let writer = options.writer
  let chunks: Uint8Array[] = []
  /** Number of the first chunk still at hand. */
  let first = 0
  let held = 0
  let received = 0
  let over = false
  let failure: Error | undefined
  /** For those who read along; they are not stored. */
  let trailers: HeaderList | undefined
  let writing = false
  /** Nobody reads, and nobody who was there at the start is still to come. */
  let deserted = options.unread

  function serve(reader: Reader): void {
    while (reader.wants && reader.next < first + chunks.length) {
      reader.wants = reader.stream.push(chunks[reader.next - first]!)
      reader.next++
    }
    if (over && failure === undefined && reader.next === first + chunks.length) {
      reader.wants = false
      reader.next++
      if (trailers !== undefined) setTrailers(reader.stream, trailers)
      reader.stream.push(null)
    }
  }

  /** Lets go of what every reader has, once there is more than is kept for those to come. */
  function trim(): void {
    if (received <= keepBytes) return
    let slowest = first + chunks.length
    for (const reader of readers) slowest = Math.min(slowest, reader.next)
    let gone = 0
    while (first + gone < slowest) {
      held -= chunks[gone]!.length
      gone++
    }
    if (gone > 0) {
      chunks = chunks.slice(gone)
      first += gone
    }
  }

  function pace(): void {
    if (over) return
    if (writing || held > keepBytes) source.pause()
    else source.resume()
  }

  function write(chunk: Uint8Array): void {
    if (writer === undefined) return
    if (received > options.storeBytes) {
      dropWriter()
      return
    }
    const accepted = writer.write(chunk)
    if (accepted === true) return
    if (accepted === false) {
      dropWriter()
      return
    }
    writing = true
    accepted.then(
      (more) => {
        writing = false
        if (!more) dropWriter()
        pace()
      },
      () => {
        writing = false
        dropWriter()
        pace()
      },
    )
  }

  function dropWriter(): void {
    writer?.abort()
    writer = undefined
    if (deserted && readers.size === 0) giveUp()
  }

  function end(error: Error | undefined): void {
    if (over) return
    over = true
    failure = error
    trailers = trailersOf(source)
    if (error !== undefined) {
      dropWriter()
      for (const { stream } of readers) stream.destroy(error)
      finished.resolve(undefined)
      return
    }
    for (const reader of readers) serve(reader)
    if (!options.mayFinish()) dropWriter()
    if (writer === undefined) finished.resolve(undefined)
    else writer.finish().then(finished.resolve, () => finished.resolve(undefined))
  }

  source.on('data', (chunk: Uint8Array) => {
    received += chunk.length
    held += chunk.length
    chunks.push(chunk)
    write(chunk)
    for (const reader of readers) serve(reader)
    trim()
    pace()
  })
  source.on('end', () => end(declared === undefined || received === declared ? undefined : brokenOff()))
  source.on('error', (error) => end(error))
  // Every source closes, also after its end: an error with its stack is made only for those that broke off.
  source.on('close', () => {
    if (!over) end(brokenOff())
  })

  // One that was gone before anybody listened says nothing any more.
  if (source.destroyed && !source.readableEnded) end(source.errored ?? brokenOff())

  function leave(reader: Reader): void {
    readers.delete(reader)
    deserted = true
    if (over) return
    const ends = readers.size === 0 && (writer === undefined || options.onDeserted(received) === 'end')
    if (ends) {
      giveUp()
      return
    }
    trim()
    pace()
  }

  function giveUp(): void {
    if (readers.size > 0 || over) return
    end(brokenOff())
    source.destroy()
  }

  return {
    get joinable() {
      return (
        first === 0 && failure === undefined && (over ? chunks.length > 0 || received === 0 : received <= keepBytes)
      )
    },
    get readers() {
      return readers.size
    },
    get length() {
      return over && failure === undefined ? received : undefined
    },
    follow() {
      const reader: Reader = {
        next: 0,
        wants: false,
        stream: new Readable({
          read() {
            reader.wants = true
            serve(reader)
            trim()
            pace()
          },
          destroy(error, callback) {
            leave(reader)
            callback(error)
          },
        }),
      }
      readers.add(reader)
      // Who reads it hears of it then; nobody can listen yet.
      if (failure !== undefined) reader.stream.on('error', () => {}).destroy(failure)
      return reader.stream
    },
    dropWriter,
    giveUp,
    done: finished.promise,
  }
}

function brokenOff(): Error {
  return new Error('the body broke off')
}
