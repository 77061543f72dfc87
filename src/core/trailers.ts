/** Fields that come behind a body (RFC 9110 §6.5). They belong to the stream: whoever passes it on passes them on. */
import type { Readable } from 'node:stream'
import type { HeaderList } from './exchange.ts'

const known = new WeakMap<Readable, HeaderList>()

/** Before the stream's end: its readers ask when it has ended. */
export function setTrailers(body: Readable, fields: HeaderList): void {
  known.set(body, fields)
}

/** Undefined before the end, and where there are none. */
export function trailersOf(body: Readable): HeaderList | undefined {
  return known.get(body)
}
