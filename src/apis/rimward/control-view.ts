/** The control plane as our own door shows it. */
import { answerPolicySchema } from '#/control/answer-policy.ts'
import { cachePolicySchema } from '#/control/cache-policy.ts'
import type { Control } from '#/control/control.ts'
import { Refusal } from '#/control/refusal.ts'
import type { Site, Target } from '#/core/snapshot.ts'
import type { RimwardControl } from './app.ts'
import { Problem } from './problem.ts'
import type { ProgramView, SiteChangeBody, SiteView } from './schemas.ts'

function targetView(target: Target): SiteView['target'] {
  if (target.kind !== 'origin' || target.pool === undefined) return target
  const { origins, choice, quorum, healthCheck } = target.pool
  return {
    kind: 'origin',
    url: target.url,
    origins: origins.map((origin) => ({ ...origin, ...(origin.clientKey !== undefined && { clientKey: true }) })),
    choice,
    ...(quorum !== undefined && { quorum }),
    ...(healthCheck !== undefined && { healthCheck: { ...healthCheck } }),
  }
}

function siteView({ name, hostnames, routes, target, cache, errorPages, answers, shield }: Site): SiteView {
  return {
    name,
    hostnames: [...hostnames],
    routes: [...routes],
    target: targetView(target),
    ...(cache !== undefined && { cache: cachePolicySchema.parse(cache) }),
    ...(errorPages !== undefined && { errorPages: Object.keys(errorPages) }),
    ...(answers !== undefined && { answers: answerPolicySchema.parse(answers) }),
    ...(shield !== undefined && { shield }),
  }
}

/** A refusal is the asker's to mend: 409 where somebody else is in the way, else 400. */
function asProblem(thrown: unknown): unknown {
  if (!(thrown instanceof Refusal)) return thrown
  return new Problem(thrown.code === 'address_taken' ? 'conflict' : 'bad_request', thrown.message)
}

/** The rest comes with the program: it is refused by name. */
function ofProgram(name: string, { answers, errorPages, ...rest }: SiteChangeBody) {
  const [other] = Object.keys(rest)
  if (other !== undefined)
    throw new Problem(
      'conflict',
      `Site "${name}" belongs to a program: only "answers" and "errorPages" can be set here, not "${other}".`,
    )
  return { ...(answers !== undefined && { answers }), ...(errorPages !== undefined && { errorPages }) }
}

export function viewControl(control: Control): RimwardControl {
  function sites(): SiteView[] {
    return [...control.snapshot.sites].map(siteView)
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
      if (control.sites().some(({ name }) => name === site.name))
        return { ok: false, taken: `There is a site "${site.name}" already.` }
      try {
        await control.siteAdd(site)
      } catch (refusal) {
        if (refusal instanceof Refusal && refusal.code === 'address_taken') return { ok: false, taken: refusal.message }
        throw asProblem(refusal)
      }
      return { ok: true, site: sites().find(({ name }) => name === site.name)! }
    },
    async changeSite(name, change) {
      const isPlain = control.sites().some((site) => site.name === name)
      if (!isPlain && control.findProgram(name) === undefined) return undefined
      try {
        if (isPlain) await control.siteChange(name, change)
        else await control.programSiteChange(name, ofProgram(name, change))
      } catch (refusal) {
        throw asProblem(refusal)
      }
      return sites().find((site) => site.name === name)
    },
    async removeSite(name) {
      if (!control.sites().some((site) => site.name === name)) return false
      await control.siteRemove(name)
      return true
    },
  }
}
