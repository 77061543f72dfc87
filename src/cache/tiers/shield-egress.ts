/** Misses of this PoP's cache go to the cache of the shield PoP; behind the shared cache, in front of the origins. */
import { Readable } from 'node:stream'
import { EdgeError, type ErrorCode, toEdgeError } from '#/core/errors.ts'
import type { Mesh } from '#/core/mesh.ts'
import type { Within } from '#/core/pops.ts'
import type { Egress, EgressAnswer, EgressRequest } from '#/core/ports.ts'
import { chooseShield } from './choose-shield.ts'
import type { PlatformPurges } from './platform-purges.ts'
import { readVector } from './purge-vectors.ts'
import { askedHead, type ShieldAnswered, shieldTopic } from './shield-wire.ts'

export interface ShieldEgressOptions {
  readonly mesh: Mesh
  /** To the origins themselves. */
  readonly next: Egress
  /** Asked when a request is: the purges stand on the cache, which stands on this. */
  readonly purges: () => Pick<PlatformPurges, 'tag' | 'learn'>
  /** Countries that a site's answers may pass through. */
  readonly withinOf: (site: string) => Within | undefined
}

/** Nothing came of these at the shield: the origin may be asked from here. */
const unasked: ReadonlySet<ErrorCode> = new Set(['not_found', 'no_such_site', 'not_here', 'overloaded', 'fabric_away'])
/** Whether something came of these is not known. */
const unclear: ReadonlySet<ErrorCode> = new Set(['peer_away', 'internal'])
const idempotent: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])

/**
 * Requests without `shield` pass unchanged. Where the shield is out of reach, the origin is asked; what the origin does to the
 * shield (`origin_*`) is what it would do here, and rejects.
 */
export function createShieldEgress({ mesh, next, purges, withinOf }: ShieldEgressOptions): Egress {
  async function fetchOrigin(request: EgressRequest): Promise<EgressAnswer> {
    const answer = await next.fetch(request)
    return { ...answer, tier: { kind: 'away', pop: request.shield!.pop } }
  }

  async function askShield(request: EgressRequest, node: string): Promise<EgressAnswer> {
    const { body, signal } = request
    const answer = await mesh.ask(node, shieldTopic, { head: askedHead(request, purges().tag(node)), body, signal })
    const head = answer.head as unknown as ShieldAnswered
    if (head.applied !== undefined) purges().learn(node, readVector(head.applied))
    if (!head.hasBody) answer.body.resume()
    // The link went between head and body: of that nobody has seen anything yet.
    else if (answer.body.destroyed) throw answer.body.errored ?? new EdgeError('peer_away', `${node} went away.`)
    const { status, statusText, headers, cacheStatus, withheld, stale } = head
    return {
      ...{ status, headers, body: head.hasBody ? answer.body : null },
      ...(statusText !== undefined && { statusText }),
      ...(withheld && { withheld }),
      ...(stale && { stale }),
      tier: { kind: 'answered', pop: request.shield!.pop, ...(cacheStatus !== undefined && { cacheStatus }) },
    }
  }

  return {
    async fetch(request) {
      const { shield } = request
      if (shield === undefined || request.wantsUpgrade || request.answeredBy !== undefined) return next.fetch(request)
      const key = `${shield.site}\n${request.publicUrl ?? request.url}`
      const node = chooseShield(shield.pop, key, mesh.self, mesh.peers(), withinOf(shield.site))
      if (node === mesh.self.node) return next.fetch(request)
      if (node === undefined) return fetchOrigin(request)
      try {
        return await askShield(request, node)
      } catch (thrown) {
        if (request.signal.aborted || !mayAskOrigin(toEdgeError(thrown), request)) throw thrown
        return fetchOrigin(request)
      }
    },
    close: () => next.close(),
  }
}

/** As with a second origin: not when the first may have done something, nor when the body is gone. */
function mayAskOrigin({ code }: EdgeError, { method, body }: EgressRequest): boolean {
  if (body instanceof Readable && (body.readableDidRead || body.destroyed)) return false
  return unasked.has(code) || (unclear.has(code) && idempotent.has(method))
}
