/** Delivery rules as closures, once for each set of rules and of lookups that a Snapshot brings. */
import { poisonNames } from '#/http/poison-names.ts'
import { type CompiledLookups, compileCondition, compileValue, type RuleFacts, textOf } from './compile-condition.ts'
import { type ConditionPhase, readCondition, readValue } from './condition.ts'
import type {
  AnswerRule,
  CacheRule,
  CompressionRule,
  DeliveryRules,
  HeaderRule,
  Lookups,
  PoolRule,
  RequestRule,
} from './delivery-rules.ts'
import { listMatcher } from './listed-networks.ts'
import { type Pattern, readPattern } from './pattern.ts'

type Applies = (facts: RuleFacts) => boolean

export interface When<Rule> {
  readonly rule: Rule
  readonly applies: Applies
  /** Decided by the request alone. */
  readonly early: boolean
}

export interface CompiledHeaderRule extends When<HeaderRule> {
  readonly value: (facts: RuleFacts) => string
  readonly pattern: Pattern | undefined
}

export interface CompiledRules {
  readonly pools: readonly When<PoolRule>[]
  readonly requests: readonly When<RequestRule>[]
  readonly headers: Readonly<Record<HeaderRule['phase'], readonly CompiledHeaderRule[]>>
  readonly answers: Readonly<Record<AnswerRule['phase'], readonly When<AnswerRule>[]>>
  readonly caching: readonly When<CacheRule>[]
  readonly compression: readonly When<CompressionRule>[]
  /** Fields known to poison caches that rules of requests write: what a client sends under these names is dropped first. */
  readonly written: readonly string[]
}

/** Throws a TypeError for a rule that does not read: `control/` has checked each before it went into a Snapshot. */
export function compileRules(rules: DeliveryRules): CompiledRules {
  const headers = rules.headers.map(compileHeader)
  const inPhase = (phase: HeaderRule['phase']) => headers.filter(({ rule }) => rule.phase === phase)
  return {
    pools: rules.pools.map((rule) => compileWhen(rule, 'request')),
    requests: rules.requests.map((rule) => compileWhen(rule, 'request')),
    headers: {
      request: inPhase('request'),
      fetch: inPhase('fetch'),
      cache: inPhase('cache'),
      response: inPhase('response'),
    },
    answers: {
      request: rules.answers.filter(({ phase }) => phase === 'request').map((rule) => compileWhen(rule, 'request')),
      cache: rules.answers.filter(({ phase }) => phase === 'cache').map((rule) => compileWhen(rule, 'cache')),
    },
    caching: rules.caching.map((rule) => compileWhen(rule, 'cache')),
    compression: rules.compression.map((rule) => compileWhen(rule, 'cache')),
    written: writtenFields(rules.headers),
  }
}

function writtenFields(rules: readonly HeaderRule[]): string[] {
  const names = new Set<string>()
  for (const { phase, action, target } of rules)
    if ((phase === 'request' || phase === 'fetch') && action !== 'delete' && target.kind === 'field')
      if (poisonNames.has(target.field)) names.add(target.field)
  return [...names]
}

function compileWhen<Rule extends { readonly name: string; readonly when?: string }>(
  rule: Rule,
  phase: ConditionPhase,
): When<Rule> {
  if (rule.when === undefined) return { rule, applies: () => true, early: true }
  const read = readCondition(rule.when, phase)
  if (!read.ok) throw new TypeError(`rule '${rule.name}': ${read.why}`)
  return { rule, applies: compileCondition(read.value), early: !read.uses.answer }
}

function compileHeader(rule: HeaderRule): CompiledHeaderRule {
  const phase = rule.phase === 'fetch' ? 'request' : rule.phase
  const read = rule.value === undefined ? undefined : readValue(rule.value, phase)
  if (read?.ok === false) throw new TypeError(`rule '${rule.name}': ${read.why}`)
  const pattern = rule.pattern === undefined ? undefined : readPattern(rule.pattern)
  if (pattern?.ok === false) throw new TypeError(`rule '${rule.name}': ${pattern.why}`)
  const value = read === undefined ? () => undefined : compileValue(read.value)
  return { ...compileWhen(rule, phase), value: (facts) => textOf(value(facts)), pattern: pattern?.pattern }
}

export function compileLookups(lookups: Lookups | undefined): CompiledLookups {
  const tables = Object.entries(lookups?.tables ?? {})
  const lists = Object.entries(lookups?.lists ?? {})
  return {
    tables: new Map(tables.map(([name, table]) => [name, new Map(Object.entries(table))])),
    lists: new Map(lists.map(([name, list]) => [name, listMatcher(list)])),
  }
}
