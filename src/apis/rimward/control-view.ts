/** The control plane as our own door shows it. */
import { cachePolicySchema } from '#/control/cache-policy.ts'
import type { Control } from '#/control/control.ts'
import { Refusal } from '#/control/refusal.ts'
import type { Site } from '#/core/snapshot.ts'
import type { RimwardControl } from './app.ts'
import type { ProgramView, SiteView } from './schemas.ts'

function siteView({ name, hostnames, routes, target, cache }: Site): SiteView {
  return {
    name,
    hostnames: [...hostnames],
    routes: [...routes],
    target,
    ...(cache !== undefined && { cache: cachePolicySchema.parse(cache) }),
  }
}

export function viewControl(control: Control): RimwardControl {
  function sites(): SiteView[] {
    return control.snapshot.sites.map(siteView)
  }

  function programs(): ProgramView[] {
    return [...control.snapshot.programs.values()].map((program) => ({
      name: program.name,
      versions: program.rollout.map(({ deployment, percent }) => ({
        id: deployment.id,
        number: deployment.number,
        percent,
        createdAt: new Date(deployment.createdAt).toISOString(),
      })),
      bindings: (program.rollout[0]?.deployment.bindings ?? []).map(({ name, kind }) => ({ name, kind })),
      objects: program.objects.map(({ className }) => className),
      hosts: control.snapshot.sites
        .filter(({ target }) => target.kind === 'program' && target.program === program.name)
        .flatMap(({ hostnames, routes }) => [...hostnames, ...routes]),
    }))
  }

  return {
    programs,
    sites,
    async addSite(site) {
      try {
        await control.siteAdd(site)
      } catch (refusal) {
        if (refusal instanceof Refusal) return { ok: false, taken: refusal.message }
        throw refusal
      }
      return { ok: true, site: sites().find(({ name }) => name === site.name)! }
    },
    async removeSite(name) {
      if (!control.sites().some((site) => site.name === name)) return false
      await control.siteRemove(name)
      return true
    },
  }
}
