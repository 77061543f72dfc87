/** What of an exchange an origin is asked with: a client's, or one made of what a program fetches. */
import type { AcceptedExchange, Connection } from './accepted.ts'

export type OriginExchange = Pick<
  AcceptedExchange,
  | 'id'
  | 'startedAt'
  | 'method'
  | 'scheme'
  | 'httpVersion'
  | 'host'
  | 'path'
  | 'headers'
  | 'body'
  | 'wantsUpgrade'
  | 'signal'
  | 'traceparent'
  | 'timings'
  | 'cache'
  | 'shield'
  | 'mayCompress'
  | 'finishPage'
> & { readonly connection: Pick<Connection, 'client' | 'country'> }
