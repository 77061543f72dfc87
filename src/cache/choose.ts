/** Which of the answers stored under a key may serve a request: RFC 9111 §4.1. */
import type { EpochMs } from '#/core/units.ts'
import { headerValues } from '#/http/header-list.ts'
import { withinPart } from './answer-stored.ts'
import type { Ask } from './ask.ts'
import { policyOf } from './may-reuse.ts'
import type { Purges } from './purges.ts'
import type { StoredAnswer } from './store.ts'
import { favouriteLanguage, selection } from './vary-key.ts'

export interface Chosen {
  readonly stored: StoredAnswer
  /** When a soft purge made it stale. */
  readonly staleSince: EpochMs | undefined
}

export interface Choice {
  /** Whole, or a part that holds the wanted range. */
  readonly best: Chosen | undefined
  /** The beginning of what is wanted whole; the rest could be asked for. */
  readonly beginning: Chosen | undefined
  /** Names of the fields by which the stored answers differ; undefined while nothing is stored. */
  readonly vary: readonly string[] | undefined
  /** Purged answers that a look came across. */
  readonly gone: readonly StoredAnswer[]
}

const nothing: Choice = { best: undefined, beginning: undefined, vary: undefined, gone: [] }

/** Of several that fit, the youngest whole one; then a part that holds the range. At most `cacheKeyAnswers` are kept. */
export function choose(
  found: readonly StoredAnswer[],
  ask: Ask,
  purges: Purges,
  { cacheKeyAnswers }: { readonly cacheKeyAnswers: number },
): Choice {
  if (found.length === 0) return nothing
  let best: Chosen | undefined
  let beginning: Chosen | undefined
  let vary: readonly string[] | undefined
  let newest = Number.NEGATIVE_INFINITY
  const gone: StoredAnswer[] = []
  for (const stored of found) {
    const { head } = stored
    const purged = purges.of(head)
    if (purged?.hard === true) {
      gone.push(stored)
      continue
    }
    if (head.receivedAt > newest) {
      newest = head.receivedAt
      vary = head.vary
    }
    if (!selects(stored, ask)) continue
    const chosen = { stored, staleSince: purged?.at ?? policyOf(head).staleSince }
    if (head.partial === undefined) {
      if (best === undefined || best.stored.head.partial !== undefined || isYounger(stored, best.stored)) best = chosen
    } else if (ask.range !== undefined) {
      if (best === undefined && withinPart(stored, ask.range) !== undefined) best = chosen
    } else if (head.partial.start === 0) beginning = chosen
  }
  if (found.length > cacheKeyAnswers) gone.push(oldest(found, best?.stored))
  return { best, beginning, vary, gone }
}

/** A request adds one at most, so that letting one go each time keeps to the limit. */
function oldest(found: readonly StoredAnswer[], wanted: StoredAnswer | undefined): StoredAnswer {
  return found.reduce((a, b) => (a === wanted || (b !== wanted && isYounger(a, b)) ? b : a))
}

function isYounger(a: StoredAnswer, b: StoredAnswer): boolean {
  return a.head.receivedAt > b.head.receivedAt
}

function selects({ head }: StoredAnswer, ask: Ask): boolean {
  if (head.vary.length === 0) return true
  const policy = policyOf(head)
  if (selection(head.vary, ask.headers) === policy.selects) return true
  return policy.language !== undefined && speaks(head.vary, policy.selects, policy.language, ask)
}

/** The language that the client wants most is the one that this answer is in, and all else is the same. */
function speaks(vary: readonly string[], selects: string, language: string, ask: Ask): boolean {
  const index = vary.indexOf('accept-language')
  if (index === -1 || favouriteLanguage(headerValues(ask.headers, 'accept-language')) !== language) return false
  const stored = selects.split('\n')
  const asked = selection(vary, ask.headers).split('\n')
  return stored.every((line, at) => at === index || line === asked[at])
}
