/** The cache in front of a program: an answer that is kept is given without running it. */
import type { Answer } from '#/core/exchange.ts'
import { type FrontCache, frontScope, frontUrl } from '#/core/front-cache.ts'
import type { Egress, EgressRequest, ProgramAnswer } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import type { AcceptedExchange } from './accepted.ts'
import { addCacheHeaders } from './cache-headers.ts'
import type { Reply } from './reply.ts'
import { requestCf } from './request-cf.ts'
import { forwardedHeaders } from './request-headers.ts'
import type { RunOptions } from './run-program.ts'

/** Without words of their own answers are not kept. */
const asTheAnswerSays = { defaultTtl: 0 }

/** What goes past it: methods that are never answered from a cache, and connections that become something else. */
export function mayBeCached({ method, wantsUpgrade, requestBody }: AcceptedExchange): boolean {
  return (method === 'GET' || method === 'HEAD') && !wantsUpgrade && requestBody === null
}

/** Rejects with the engine's `EdgeError`, where nothing stale may stand in. */
export async function runCached(
  exchange: AcceptedExchange,
  reply: Reply,
  { program, deployment }: { readonly program: Program; readonly deployment: Deployment },
  { acrossVersions }: FrontCache,
  options: RunOptions & { readonly egress: Pick<Egress, 'fetch'> },
): Promise<Answer> {
  const { engine, pop, limits } = options
  const { scheme, authority, path, signal, id, client, connection, httpVersion, headers: received } = exchange
  const cf = requestCf(exchange, pop)

  /** Asked when the cache needs an answer, also behind a stale one when the client has left. */
  async function answeredBy(asked: EgressRequest): Promise<ProgramAnswer> {
    const started = performance.now()
    const { method, headers, signal, onInformational } = asked
    const { serverAddress } = connection
    const answer = await engine.run(program, deployment, {
      ...{ method, scheme, authority, path, headers, body: null, cf, wantsUpgrade: false, signal },
      ...{ id, client, serverAddress, httpVersion, received },
      ...(onInformational !== undefined && { onInformational }),
    })
    exchange.start = answer.start
    exchange.timings.program = performance.now() - started
    return answer
  }

  const answer = await options.egress.fetch({
    by: { program: frontScope(program.name) },
    method: exchange.method,
    url: frontUrl(path),
    headers: forwardedHeaders(exchange, pop, limits.requestLoops),
    body: null,
    wantsUpgrade: false,
    signal,
    cache: { policy: asTheAnswerSays, key: `${acrossVersions ? '' : deployment.id} ${path}` },
    onInformational: (status, headers) => reply.informational(status, headers),
    answeredBy,
  })
  if (answer.cacheOutcome !== undefined) {
    exchange.cache = answer.cacheOutcome
    addCacheHeaders(answer)
  }
  return answer
}
