/** The shared cache of a node among others: what was stored answers only while the node knows what was purged. */
import type { CoreCache } from '#/core/core-cache.ts'
import type { ProgramCache, SharedCache } from '#/core/ports.ts'
import type { PlatformPurges } from './platform-purges.ts'

type Caches = SharedCache & { readonly programs: ProgramCache; readonly core: CoreCache }

/** The same caches; while a link was down and the other side was not asked yet, their readers wait. */
export function withPurgeGate(cache: Caches, purges: Pick<PlatformPurges, 'gate'>): Caches {
  const { programs, core } = cache
  function past<Result>(read: () => Promise<Result>): Promise<Result> {
    const { gate } = purges
    return gate === undefined ? read() : gate.then(read)
  }
  return {
    ...cache,
    hit: (request) => (purges.gate === undefined ? cache.hit(request) : undefined),
    fetch: (request) => past(() => cache.fetch(request)),
    programs: { ...programs, match: (place, request) => past(() => programs.match(place, request)) },
    core: {
      ...core,
      lookup: (key) => past(() => core.lookup(key)),
      take: (key, signal) => past(() => core.take(key, signal)),
    },
  }
}
