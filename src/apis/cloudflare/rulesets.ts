/**
 * Cloudflare's rulesets, as far as cache rules need them: one ruleset a zone, of the phase `http_request_cache_settings`.
 * https://developers.cloudflare.com/api/resources/rulesets/
 */
import { randomBytes } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { z } from 'zod'
import { readExpression } from '#/core/expressions/read-expression.ts'
import { zonesOf } from './addresses.ts'
import { cacheParameters, toCacheSettings } from './cache-parameters.ts'
import { type CloudflareApiDeps, idOf } from './deps.ts'
import { ok, VendorError } from './envelope.ts'
import { doorError } from './errors.ts'
import { readJson } from './read-json.ts'

const phase = 'http_request_cache_settings'

const position = z.union([
  z.strictObject({ before: z.string() }),
  z.strictObject({ after: z.string() }),
  z.strictObject({ index: z.int().min(1) }),
])

const action = z.literal('set_cache_settings', "must be 'set_cache_settings': no other action is supported by Rimward")

const rule = z.strictObject({
  id: z.string().optional(),
  ref: z.string().min(1).max(100).optional(),
  version: z.string().optional(),
  last_updated: z.string().optional(),
  action,
  action_parameters: cacheParameters,
  expression: z.string(),
  description: z.string().max(500).default(''),
  enabled: z.boolean().default(true),
})
type RuleWish = z.infer<typeof rule>

const ruleset = z.strictObject({
  id: z.string().optional(),
  name: z.string().max(200).optional(),
  description: z.string().max(500).optional(),
  kind: z.literal('zone', "must be 'zone'").optional(),
  phase: z.literal(phase, `must be '${phase}': no other phase is supported by Rimward`).optional(),
  version: z.string().optional(),
  last_updated: z.string().optional(),
  rules: z.array(rule).default([]),
})

type RuleView = Omit<RuleWish, 'action_parameters'> & {
  readonly id: string
  readonly ref: string
  readonly version: string
  /** As it was written; names of header fields in lower case. */
  readonly action_parameters: unknown
}

interface RulesetView {
  readonly id: string
  readonly name: string
  readonly description: string
  readonly kind: 'zone'
  readonly phase: typeof phase
  readonly version: string
  readonly last_updated: string
  readonly rules: readonly RuleView[]
}

const newId = () => randomBytes(16).toString('hex')

/** Paths start at `/zones/:zone`. */
export function rulesetRoutes({
  control,
  limits,
  clock,
}: Pick<CloudflareApiDeps, 'control' | 'limits' | 'clock'>): Hono {
  const routes = new Hono()
  const queues = new Map<string, Promise<unknown>>()
  const at = '/zones/:zone/rulesets'
  const now = () => new Date(clock()).toISOString()

  /** The domain whose id this is: one around a host of ours, or one that has rules already. */
  function domainOf(c: Context): string {
    const zone = c.req.param('zone')!
    const rules = control.domainRules().find(({ domain }) => idOf(`zone ${domain}`) === zone)
    if (rules !== undefined) return rules.domain
    for (const site of control.snapshot.sites)
      for (const pattern of [...site.hostnames, ...site.routes]) {
        const labels = zonesOf(pattern).indexOf(zone)
        if (labels !== -1) return hostOf(pattern).split('.').slice(labels).join('.')
      }
    throw new VendorError(404, 1001, 'Invalid zone identifier: no host of this platform lies in this zone.')
  }

  function viewOf(domain: string): RulesetView | undefined {
    const held = control.domainRules().find((one) => one.domain === domain)
    return held && (JSON.parse(held.view) as RulesetView)
  }

  function needed(c: Context, domain: string): RulesetView {
    const found = viewOf(domain)
    if (found === undefined || (c.req.param('id') !== undefined && c.req.param('id') !== found.id))
      throw new VendorError(404, 10003, `could not find ruleset ${c.req.param('id') ?? ''}`.trim())
    return found
  }

  /** Reads and writes of one zone come one after the other, so that two rules added at once are both there. */
  function inTurn<Result>(domain: string, task: () => Promise<Result>): Promise<Result> {
    const mine = (queues.get(domain) ?? Promise.resolve()).catch(() => {}).then(task)
    queues.set(domain, mine)
    const over = () => {
      if (queues.get(domain) === mine) queues.delete(domain)
    }
    mine.then(over, over)
    return mine
  }

  async function save(domain: string, view: RulesetView): Promise<RulesetView> {
    const rules = view.rules
      .filter(({ enabled }) => enabled)
      .map(({ id, expression, action_parameters }) => ({
        name: id,
        when: expression,
        settings: toCacheSettings(cacheParameters.parse(action_parameters)),
      }))
    await control.setDomainRules(domain, { view: JSON.stringify(view), rules })
    return view
  }

  async function put(wanted: z.infer<typeof ruleset>, domain: string): Promise<RulesetView> {
    const before = viewOf(domain)
    const known = before?.rules ?? []
    for (const name of ['id', 'ref'] as const) {
      const given = wanted.rules.map((one) => one[name]).filter((one) => one !== undefined)
      const twice = given.find((one, index) => given.indexOf(one) !== index)
      if (twice !== undefined) throw doorError('badRequest', `Two rules have the ${name} '${twice.slice(0, 80)}'.`)
    }
    return save(domain, {
      id: before?.id ?? newId(),
      name: wanted.name ?? before?.name ?? 'default',
      description: wanted.description ?? before?.description ?? '',
      kind: 'zone',
      phase,
      version: next(before),
      last_updated: now(),
      rules: wanted.rules.map((one, index) => toView(one, known, now(), `/rules/${index}`)),
    })
  }

  const replaced = (view: RulesetView, rules: readonly RuleView[]): RulesetView => ({
    ...view,
    rules,
    version: next(view),
    last_updated: now(),
  })

  const entrypoint = `${at}/phases/:phase/entrypoint`
  routes.use(entrypoint, async (c, proceed) => {
    const asked = c.req.param('phase')
    if (asked !== phase)
      throw doorError('unsupported', `The phase '${asked.slice(0, 80)}' is not supported by Rimward.`)
    await proceed()
  })
  routes.get(entrypoint, (c) => {
    const found = viewOf(domainOf(c))
    if (found === undefined)
      throw new VendorError(404, 10003, `could not find entrypoint ruleset in the ${phase} phase`)
    return ok(c, found)
  })
  routes.put(entrypoint, async (c) => {
    const domain = domainOf(c)
    const wanted = await readJson(c, ruleset, limits.metadataBytes)
    return ok(c, await inTurn(domain, () => put(wanted, domain)))
  })

  routes.get(at, (c) => {
    const found = viewOf(domainOf(c))
    const { rules: _, ...head } = found ?? { rules: [] }
    return ok(c, found === undefined ? [] : [head])
  })
  routes.post(at, async (c) => {
    const domain = domainOf(c)
    const wanted = await readJson(c, ruleset.required({ phase: true, kind: true, name: true }), limits.metadataBytes)
    return inTurn(domain, async () => {
      if (viewOf(domain) !== undefined)
        throw new VendorError(
          400,
          20217,
          `A ruleset of the phase ${phase} exists already in this zone; change that one.`,
        )
      return ok(c, await put(wanted, domain))
    })
  })
  routes.get(`${at}/:id`, (c) => ok(c, needed(c, domainOf(c))))
  routes.put(`${at}/:id`, async (c) => {
    const domain = domainOf(c)
    const wanted = await readJson(c, ruleset, limits.metadataBytes)
    return inTurn(domain, async () => {
      needed(c, domain)
      return ok(c, await put(wanted, domain))
    })
  })
  routes.delete(`${at}/:id`, async (c) => {
    const domain = domainOf(c)
    return inTurn(domain, async () => {
      needed(c, domain)
      await control.setDomainRules(domain, undefined)
      return c.body(null, 204)
    })
  })

  routes.post(`${at}/:id/rules`, async (c) => {
    const domain = domainOf(c)
    const { position: where, ...wanted } = await readJson(
      c,
      rule.extend({ position: position.optional() }),
      limits.metadataBytes,
    )
    return inTurn(domain, async () => {
      const view = needed(c, domain)
      const made = toView(wanted, [], now(), '')
      return ok(c, await save(domain, replaced(view, placed(view.rules, made, where))))
    })
  })
  routes.patch(`${at}/:id/rules/:rule`, async (c) => {
    const domain = domainOf(c)
    const change = await readJson(c, rulePatch, limits.metadataBytes)
    return inTurn(domain, async () => {
      const view = needed(c, domain)
      const before = ruleOf(view, c.req.param('rule'))
      const { position: where, ...fields } = change
      const made = toView({ ...before, ...fields } as RuleWish, view.rules, now(), '')
      const rules =
        where === undefined
          ? view.rules.map((one) => (one === before ? made : one))
          : placed(
              view.rules.filter((one) => one !== before),
              made,
              where,
            )
      return ok(c, await save(domain, replaced(view, rules)))
    })
  })
  routes.delete(`${at}/:id/rules/:rule`, async (c) => {
    const domain = domainOf(c)
    return inTurn(domain, async () => {
      const view = needed(c, domain)
      const gone = ruleOf(view, c.req.param('rule'))
      const rules = view.rules.filter((one) => one !== gone)
      return ok(c, await save(domain, replaced(view, rules)))
    })
  })
  return routes
}

const rulePatch = z.strictObject({
  ...rule.partial().shape,
  description: z.string().max(500).optional(),
  enabled: z.boolean().optional(),
  position: position.optional(),
})

const next = (view: RulesetView | undefined) => String(Number(view?.version ?? 0) + 1)

const hostOf = (pattern: string) =>
  pattern
    .replace(/^https?:\/\//, '')
    .split('/', 1)[0]!
    .replace(/^\*\.?/, '')

/** A rule that was there, by its id or ref, keeps both. Throws for an expression that does not read. */
function toView(wanted: RuleWish, known: readonly RuleView[], now: string, pointer: string): RuleView {
  const read = readExpression(wanted.expression)
  if (!read.ok)
    throw new VendorError(
      400,
      20127,
      `'${wanted.expression.slice(0, 500)}' is not a valid value for expression because the expression is invalid: ${read.why}`,
      { source: { pointer: `${pointer}/expression` } },
    )
  const before = known.find(({ id, ref }) => id === wanted.id || (wanted.ref !== undefined && ref === wanted.ref))
  if (wanted.id !== undefined && before === undefined)
    throw new VendorError(404, 10003, `could not find rule ${wanted.id.slice(0, 80)}`)
  const id = before?.id ?? newId()
  const { action, action_parameters, expression, description, enabled } = wanted
  return {
    ...{ id, version: String(Number(before?.version ?? 0) + 1), ref: wanted.ref ?? before?.ref ?? id },
    ...{ action, action_parameters, expression, description, enabled, last_updated: now },
  }
}

function ruleOf(view: RulesetView, id: string): RuleView {
  const found = view.rules.find((one) => one.id === id)
  if (found === undefined) throw new VendorError(404, 10003, `could not find rule ${id.slice(0, 80)}`)
  return found
}

/** An empty name means the first or the last place. */
function placed(
  rules: readonly RuleView[],
  rule: RuleView,
  where: z.infer<typeof position> | undefined,
): readonly RuleView[] {
  if (where === undefined) return [...rules, rule]
  if ('index' in where) return rules.toSpliced(where.index - 1, 0, rule)
  const other = 'before' in where ? where.before : where.after
  if (other === '') return 'before' in where ? [rule, ...rules] : [...rules, rule]
  const index = rules.findIndex(({ id }) => id === other)
  if (index === -1) throw new VendorError(404, 10003, `could not find rule ${other.slice(0, 80)}`)
  return rules.toSpliced('before' in where ? index : index + 1, 0, rule)
}
