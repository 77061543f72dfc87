/** What is asked of a cell. */
import type { Readable } from 'node:stream'
import type { HeaderList } from '#/core/exchange.ts'
import type { ProgramRequest } from '#/core/ports.ts'

export interface CellRequest {
  readonly method: string
  /** Origin-form: path and query. */
  readonly path: string
  /** The `host` field: authority as the client used it. */
  readonly authority: string
  /** End-to-end fields, as in `ProgramRequest`. */
  readonly headers: HeaderList
  /**
   * Fields of our own, written first. Fields in `headers` with one of the names in `controlFields` are dropped, so that
   * nobody outside can forge them.
   */
  readonly control?: HeaderList
  readonly body: Readable | Uint8Array | null
  /** Whoever answers has read all of it by then: the connection can be kept. */
  readonly isBodyRead?: boolean
  readonly wantsUpgrade?: boolean | undefined
  /** Listened to from the start. */
  readonly signal?: AbortSignal | undefined
  /** Its signal is asked for, and listened to, only when the answer takes long (`attendMs` in `cell-client.ts`). */
  readonly caller?: Pick<ProgramRequest, 'signal'> | undefined
  readonly onInformational?: ((status: number, headers: HeaderList) => void) | undefined
}

/** Names (lower case) that only we may send to a cell. */
export const controlFields: ReadonlySet<string> = new Set(['rimward-cf', 'rimward-proto', 'rimward-program'])

/** What the engine was asked, as a cell is asked. Field by field: a request's members may be getters of its class. */
export function cellRequest(request: ProgramRequest, isolate?: string): CellRequest {
  const { method, path, authority, headers, body, wantsUpgrade, onInformational } = request
  const control = ['rimward-cf', asciiJson(request.cf), 'rimward-proto', request.scheme]
  if (isolate !== undefined) control.push('rimward-program', isolate)
  return { method, path, authority, headers, control, body, wantsUpgrade, caller: request, onInformational }
}

/** A field's bytes are one a character: what is not ASCII travels as JSON's escapes. */
function asciiJson(text: string): string {
  if (/^[\x20-\x7e]*$/.test(text)) return text
  return text.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
