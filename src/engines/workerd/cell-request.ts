/** What is asked of a cell. */
import type { Readable } from 'node:stream'
import type { HeaderList } from '#/core/exchange.ts'

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
  readonly wantsUpgrade?: boolean
  readonly signal?: AbortSignal
  readonly onInformational?: (status: number, headers: HeaderList) => void
}

/** Names (lower case) that only we may send to a cell. */
export const controlFields: ReadonlySet<string> = new Set(['rimward-cf', 'rimward-proto', 'rimward-program'])
