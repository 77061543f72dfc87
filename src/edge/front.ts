/**
 * What the listeners share: limits, the connections that are open, and where accepted exchanges go.
 */
import type { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import type { AcceptedExchange, Connection } from './accepted.ts'
import type { Reply } from './reply.ts'

export interface Front {
  readonly limits: Limits
  readonly clock: Clock
  /** The value of the Date field for now. */
  httpDate(): string
  /** The edge is closing: connections end after their current answer. */
  readonly draining: boolean
  /** Never rejects; resolves when the exchange is recorded. */
  serve(exchange: AcceptedExchange, reply: Reply): Promise<void>
  /** Answers with an error page without asking anybody, and closes. */
  refuse(exchange: AcceptedExchange, reply: Reply, error: EdgeError): void
  connectionOf(socket: object): Connection | undefined
}
