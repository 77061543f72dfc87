/** Which answers a site's own rules let be compressed. */
import type { RuleFacts } from '#/core/compile-condition.ts'
import type { When } from '#/core/compile-rules.ts'
import type { CompressionRule } from '#/core/delivery-rules.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { headerValue } from '#/http/header-list.ts'

/** Undefined where the site has no such rule: then the usual types are compressed. */
export function mayCompress(
  rules: readonly When<CompressionRule>[],
  facts: RuleFacts,
  { status, headers }: Answer,
): boolean | undefined {
  if (rules.length === 0) return undefined
  const seen = { ...facts, answer: { status, headers } }
  return rules.some(({ rule, applies }) => names(rule, facts, headers) && applies(seen))
}

function names({ types, extensions }: CompressionRule, { url }: RuleFacts, headers: HeaderList): boolean {
  const type = headerValue(headers, 'content-type')?.replace(/;.*/s, '').trim().toLowerCase()
  if (type !== undefined && types.includes(type)) return true
  const path = url.split('?', 1)[0]!
  const dot = path.lastIndexOf('.')
  return dot > path.lastIndexOf('/') && extensions.includes(path.slice(dot + 1).toLowerCase())
}
