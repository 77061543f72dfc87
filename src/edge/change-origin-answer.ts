/** What the rules of the cache's phase make of an origin's answer, before the cache sees it. */
import { Readable } from 'node:stream'
import type { RuleFacts } from '#/core/compile-condition.ts'
import type { CompiledRules } from '#/core/compile-rules.ts'
import type { AnswerRule, CacheRule } from '#/core/delivery-rules.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { applyHeaderRules, removeField, setField } from './change-headers.ts'

/** `undefined` where no rule asks for it. `facts` are those at the end of the request's phase. `decided`: how the answer is kept was wished for with the request already. */
export function changeOriginAnswer(
  rules: CompiledRules,
  facts: RuleFacts,
  decided: boolean,
): ((answer: Answer) => Answer) | undefined {
  const caching = decided ? [] : rules.caching
  if (rules.headers.cache.length + rules.answers.cache.length + caching.length === 0) return undefined
  return (answer) => {
    const headers = [...answer.headers]
    const seen = { ...facts, answer: { status: answer.status, headers } }
    applyHeaderRules(rules.headers.cache, seen, headers)
    const own = rules.answers.cache.find(({ applies }) => applies(seen))
    if (own !== undefined) {
      if (answer.body instanceof Readable) answer.body.on('error', () => {}).destroy()
      return ownAnswer(own.rule)
    }
    const rule = caching.find(({ applies }) => applies(seen))?.rule
    if (rule !== undefined) keepFor(headers, rule)
    return { ...answer, headers }
  }
}

/** `Surrogate-Control` is what the shared cache heeds first, and it goes no further than there. */
function keepFor(headers: HeaderList, { action, ttl, staleIfError }: CacheRule): void {
  if (action === 'pass') {
    setField(headers, 'surrogate-control', 'no-store')
    return
  }
  const parts: string[] = []
  if (ttl !== undefined) {
    parts.push(`max-age=${ttl}`)
    removeField(headers, 'age')
  }
  if (staleIfError !== undefined) parts.push(`stale-if-error=${staleIfError}`)
  if (parts.length > 0) setField(headers, 'surrogate-control', parts.join(', '))
}

/** Never stored: the next request is decided anew. */
export function ownAnswer({ status, reason, contentType, body }: AnswerRule): Answer {
  const headers = ['surrogate-control', 'no-store']
  if (contentType !== undefined) headers.push('content-type', contentType)
  return { status, headers, body: Buffer.from(body), ...(reason !== undefined && { statusText: reason }) }
}
