/**
 * Hands an exchange to the engine.
 */
import type { Readable } from 'node:stream'
import type { Answer, Client, HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Engine, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import type { AcceptedExchange } from './accepted.ts'
import type { Reply } from './reply.ts'
import { requestCf } from './request-cf.ts'
import { forwardedHeaders, type Pop } from './request-headers.ts'

export interface RunOptions {
  readonly engine: Pick<Engine, 'run'>
  readonly pop: Pop
  readonly limits: Limits
}

/** Rejects with the engine's `EdgeError`. Learns `start` and `timings.program` for the log. */
export async function runProgram(
  exchange: AcceptedExchange,
  reply: Reply,
  picked: { readonly program: Program; readonly deployment: Deployment },
  options: RunOptions,
): Promise<Answer> {
  const started = performance.now()
  const request = new ExchangeRequest(exchange, reply, options)
  const answer = await options.engine.run(picked.program, picked.deployment, request)
  exchange.start = answer.start
  exchange.timings.program = performance.now() - started
  return answer
}

/** A class, because an object literal with a getter costs V8 a hidden class of its own for each request (20 µs). */
class ExchangeRequest implements ProgramRequest {
  readonly method: string
  readonly scheme: 'http' | 'https'
  readonly authority: string
  readonly path: string
  readonly headers: HeaderList
  readonly body: Readable | null
  readonly id: string
  readonly httpVersion: '1.0' | '1.1' | '2'
  readonly received: HeaderList
  readonly wantsUpgrade: boolean
  readonly onInformational: (status: number, headers: HeaderList) => void
  readonly #exchange: AcceptedExchange
  readonly #pop: Pop

  constructor(exchange: AcceptedExchange, reply: Reply, { pop, limits }: RunOptions) {
    this.method = exchange.method
    this.scheme = exchange.scheme
    this.authority = exchange.authority
    this.path = exchange.path
    this.headers = forwardedHeaders(exchange, pop, limits.requestLoops)
    this.body = exchange.body
    this.#pop = pop
    this.id = exchange.id
    this.httpVersion = exchange.httpVersion
    this.received = exchange.headers
    this.wantsUpgrade = exchange.wantsUpgrade
    this.onInformational = (status, headers) => reply.informational(status, headers)
    this.#exchange = exchange
  }

  get client(): Client {
    return this.#exchange.client
  }

  /** Only Workers see it. */
  get cf(): string {
    return requestCf(this.#exchange, this.#pop)
  }

  get serverAddress(): string {
    return this.#exchange.connection.serverAddress
  }

  /** Made only when the engine asks. */
  get signal(): AbortSignal {
    return this.#exchange.signal
  }
}
