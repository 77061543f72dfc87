/**
 * Hands an exchange to the engine.
 */
import type { Answer } from '#/core/exchange.ts'
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
  const request: ProgramRequest = {
    method: exchange.method,
    scheme: exchange.scheme,
    authority: exchange.authority,
    path: exchange.path,
    headers: forwardedHeaders(exchange, options.pop, options.limits.requestLoops),
    body: exchange.body,
    cf: requestCf(exchange, options.pop),
    wantsUpgrade: exchange.wantsUpgrade,
    // Made only when the engine asks.
    get signal() {
      return exchange.signal
    },
    onInformational: (status, headers) => reply.informational(status, headers),
  }
  const answer = await options.engine.run(picked.program, picked.deployment, request)
  exchange.start = answer.start
  exchange.timings.program = performance.now() - started
  return answer
}
