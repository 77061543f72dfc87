/**
 * The client's side of an answer: HTTP/1, HTTP/2 and upgraded connections implement it.
 */
import type { Duplex, Readable } from 'node:stream'
import type { HeaderList } from '#/core/exchange.ts'

/** Whether the fields behind a body go out too; absent: they do not. */
export type Trailers = 'send' | 'drop'

export interface Reply {
  /** The head of the final answer is out: an error page can no longer be sent. */
  readonly headSent: boolean
  /** An interim answer (RFC 9110 §15.2), 103 above all; dropped where the protocol has none. */
  informational(status: number, headers: HeaderList): void
  /** Head and body in one go; `body` null for none. `headers` is the transport's to keep. */
  sendWhole(status: number, statusText: string | undefined, headers: HeaderList, body: Uint8Array | null): void
  /**
   * As `sendWhole`, where the head is written out already, Date and length included: all but what is said of the
   * connection and the empty line. `head`, from the status line on, is the same string in answer after answer; `rest` are
   * the fields that are this answer's own. Absent where a head is no text.
   */
  sendFixed?(head: string, rest: string, body: Uint8Array): void
  /** Resolves with the bytes sent; rejects with an `EdgeError` when either side broke off. */
  sendStream(
    status: number,
    statusText: string | undefined,
    headers: HeaderList,
    body: Readable,
    trailers?: Trailers,
  ): Promise<number>
  /** Joins the client with the program's connection until either ends; resolves with the bytes sent to the client. */
  switchProtocols(headers: HeaderList, upgraded: Duplex): Promise<number>
  /** The connection does not outlive this answer (`Connection: close`; on HTTP/2 only the stream ends). */
  closeAfter(): void
  /** Breaks off, so that the client knows that the answer is incomplete. */
  cut(): void
}
