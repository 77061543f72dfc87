/** Asks origins at intervals whether they are well, as the health checks of sites say. */
import { Readable } from 'node:stream'
import type { HealthCheck, SiteOrigin } from '#/core/delivery-rules.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'

export interface OriginHealth {
  /** Checks the origins of this Snapshot from now on; what is known of those that stay as they were is kept. */
  adopt(snapshot: Snapshot): void
  /** Cheap: asked on the request path. Origins without a check are never sick. */
  isSick(site: string, origin: string): boolean
  close(): void
}

export interface OriginHealthOptions {
  readonly egress: Pick<Egress, 'fetch'>
  readonly limits: Pick<Limits, 'originChecks'>
  /** Told when an origin changes from one to the other. */
  readonly log: (message: string, facts: object) => void
}

interface Checked {
  readonly site: string
  readonly origin: SiteOrigin & { readonly check: HealthCheck }
  /** Of the last `window` answers, the newest last. */
  results: readonly boolean[]
  healthy: boolean
  timer: NodeJS.Timeout | undefined
  readonly stop: AbortController
}

export function createOriginHealth({ egress, limits, log }: OriginHealthOptions): OriginHealth {
  let checked = new Map<string, Checked>()

  async function ask(one: Checked): Promise<void> {
    const good = await isWell(one, egress)
    if (one.stop.signal.aborted) return
    one.results = [...one.results, good].slice(-one.origin.check.window)
    const healthy = isHealthy(one.results, one.origin.check)
    if (healthy !== one.healthy)
      log(healthy ? 'an origin is well again' : 'an origin is sick', { site: one.site, origin: one.origin.name })
    one.healthy = healthy
    one.timer = setTimeout(() => void ask(one), one.origin.check.everyMs)
    one.timer.unref()
  }

  function start(site: string, origin: Checked['origin']): Checked {
    const results = initialResults(origin.check)
    const healthy = isHealthy(results, origin.check)
    const one: Checked = { site, origin, results, healthy, timer: undefined, stop: new AbortController() }
    void ask(one)
    return one
  }

  return {
    adopt(snapshot) {
      const next = new Map<string, Checked>()
      for (const { name, rules } of snapshot.sites)
        for (const origin of rules?.origins ?? []) {
          if (!hasCheck(origin) || next.size >= limits.originChecks) continue
          const key = keyOf(name, origin.name)
          const before = checked.get(key)
          const same = before !== undefined && JSON.stringify(before.origin) === JSON.stringify(origin)
          next.set(key, same ? before : start(name, origin))
        }
      for (const [key, one] of checked) if (next.get(key) !== one) end(one)
      checked = next
    },
    isSick: (site, origin) => checked.size > 0 && checked.get(keyOf(site, origin))?.healthy === false,
    close() {
      for (const one of checked.values()) end(one)
      checked = new Map()
    },
  }
}

const keyOf = (site: string, origin: string) => `${site}\n${origin}`

function hasCheck(origin: SiteOrigin): origin is Checked['origin'] {
  return origin.check !== undefined
}

function end(one: Checked): void {
  one.stop.abort()
  clearTimeout(one.timer)
}

/** What stands in the window before anything was asked: `initial` good answers. */
export function initialResults({ window, initial }: HealthCheck): boolean[] {
  return Array.from({ length: Math.min(window, initial) }, () => true)
}

export function isHealthy(results: readonly boolean[], { threshold }: HealthCheck): boolean {
  return results.filter((good) => good).length >= threshold
}

async function isWell({ site, origin, stop }: Checked, egress: Pick<Egress, 'fetch'>): Promise<boolean> {
  const { check, hostField } = origin
  const host = check.host === '' ? hostField : check.host
  try {
    const answer = await egress.fetch({
      by: { site },
      method: check.method,
      url: `${origin.url}${check.path}`,
      headers: host === undefined ? [] : ['host', host],
      body: null,
      wantsUpgrade: false,
      signal: AbortSignal.any([stop.signal, AbortSignal.timeout(check.timeoutMs)]),
      origin,
      cache: { bypass: true },
    })
    if (answer.body instanceof Readable) answer.body.on('error', () => {}).destroy()
    return answer.status === check.status
  } catch {
    return false
  }
}
