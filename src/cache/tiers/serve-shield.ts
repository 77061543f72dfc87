/** The shield's side: another PoP's miss is answered from this node's cache, which fetches from the origin. */
import { EdgeError } from '#/core/errors.ts'
import type { Mesh, MeshCall } from '#/core/mesh.ts'
import type { OriginPool } from '#/core/origin.ts'
import { allows } from '#/core/pops.ts'
import type { EgressRequest, SharedCache } from '#/core/ports.ts'
import type { Site } from '#/core/snapshot.ts'
import type { FetchedAgain } from '#/core/tiers.ts'
import type { PlatformPurges } from './platform-purges.ts'
import { partOf, readVector } from './purge-vectors.ts'
import { answeredHead, poolName, type ShieldAsked, shieldTopic } from './shield-wire.ts'

export interface ServeShieldOptions {
  readonly mesh: Mesh
  readonly cache: Pick<SharedCache, 'fetch'>
  readonly purges: Pick<PlatformPurges, 'reach' | 'vector'>
  readonly siteNamed: (name: string) => Site | undefined
  /** What the site's rules make of an origin's answer; undefined: nothing. */
  readonly originAnswers: (site: Site, again: FetchedAgain) => EgressRequest['onOriginAnswer']
}

/**
 * Requests that come this way go to the origin and no further: they bear no wish for a shield. Rejects with `no_such_site` where
 * this node's configuration is another one, and as the cache does. Returns how to stop.
 */
export function serveShield(options: ServeShieldOptions): () => void {
  const { mesh, cache, purges } = options

  async function serve({ head, body, from, signal }: MeshCall) {
    const asked = head as unknown as ShieldAsked
    const site = options.siteNamed(asked.site)
    if (site === undefined) throw unknown(asked.site)
    if (!allows(site.within, mesh.self.country) || !allows(site.within, from.country))
      throw new EdgeError('not_here', `Answers of ${asked.site} may not pass through here.`)
    const pool = asked.pool === undefined ? undefined : poolOf(site, asked.pool)
    if (asked.pool !== undefined && pool === undefined) throw unknown(asked.site)
    const needed = asked.purges && readVector(asked.purges)
    if (needed !== undefined) await purges.reach(needed, from.node)
    if (!asked.hasBody) body.resume()
    const onOriginAnswer = asked.again && options.originAnswers(site, asked.again)
    const answer = await cache.fetch({
      ...{ by: { site: site.name }, method: asked.method, url: asked.url, headers: asked.headers },
      ...{ body: asked.hasBody ? body : null, wantsUpgrade: false, signal, forTier: true },
      ...(asked.publicUrl !== undefined && { publicUrl: asked.publicUrl }),
      ...(asked.client !== undefined && { client: asked.client }),
      ...(asked.cache && { cache: asked.cache }),
      ...(pool && { pool }),
      ...(onOriginAnswer && { onOriginAnswer }),
    })
    const applied = needed && partOf(purges.vector, Object.keys(needed))
    return { head: answeredHead(answer, applied), body: answer.body }
  }

  return mesh.serve(shieldTopic, serve)
}

function poolOf(site: Site, name: string): OriginPool | undefined {
  const own = site.target.kind === 'origin' ? site.target.pool : undefined
  const pools = [...(own ? [own] : []), ...(site.rules?.pools.map(({ pool }) => pool) ?? [])]
  return pools.find((pool) => poolName(pool) === name)
}

function unknown(site: string): EdgeError {
  return new EdgeError('no_such_site', `The site ${site} with these origins is not known here.`)
}
