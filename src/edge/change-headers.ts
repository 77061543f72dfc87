/** Header rules on flat header lists. */
import type { RuleFacts } from '#/core/compile-condition.ts'
import type { CompiledHeaderRule } from '#/core/compile-rules.ts'
import type { RequestRule } from '#/core/delivery-rules.ts'
import type { HeaderList } from '#/core/exchange.ts'
import { headerValue, headerValues } from '#/http/header-list.ts'

/** Applies the rules in turn to `headers`, and to `facts.url` where they say so; a later rule sees what an earlier one did. */
export function applyHeaderRules(rules: readonly CompiledHeaderRule[], facts: RuleFacts, headers: HeaderList): void {
  for (const rule of rules) {
    if (!rule.applies(facts)) continue
    if (rule.rule.target.kind === 'url') changeUrl(rule, facts)
    else changeField(rule, rule.rule.target.field, facts, headers)
  }
}

function changeUrl(compiled: CompiledHeaderRule, facts: RuleFacts): void {
  const url = newValue(compiled, facts, facts.url)
  facts.url = (url.startsWith('/') ? url : `/${url}`).replace(/[^\x21-\x7e]/g, encodeURIComponent)
}

function changeField(compiled: CompiledHeaderRule, field: string, facts: RuleFacts, headers: HeaderList): void {
  const { action, onlyIfAbsent } = compiled.rule
  if (action === 'delete') {
    removeField(headers, field)
    return
  }
  const before = headerValue(headers, field)
  if (onlyIfAbsent && before !== undefined) return
  const value = fieldText(newValue(compiled, facts, before ?? ''))
  if (action === 'append') headers.push(field, value)
  else setField(headers, field, value)
}

/** The replacing actions work on their `value`; where they name none, on what is there. */
function newValue({ rule, value, pattern }: CompiledHeaderRule, facts: RuleFacts, before: string): string {
  const text = rule.value === undefined ? before : value(facts)
  if (pattern === undefined) return text
  return pattern.replace(text, rule.replacement ?? '', { all: rule.action === 'replace-all' })
}

/** RFC 9110 §5.5: visible characters, blanks and obs-text. Characters beyond Latin-1 travel as UTF-8. */
function fieldText(text: string): string {
  const bytes = /[^\x00-\xff]/.test(text) ? Buffer.from(text).toString('latin1') : text
  return bytes.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, '').trim()
}

export function removeField(headers: HeaderList, field: string): void {
  for (let index = headers.length - 2; index >= 0; index -= 2)
    if (headers[index]!.toLowerCase() === field) headers.splice(index, 2)
}

/** One field of this name (lower case), at the end of the list. */
export function setField(headers: HeaderList, field: string, value: string): void {
  removeField(headers, field)
  headers.push(field, value)
}

/** `asked` is the list before any rule; there the platform has appended the client to `X-Forwarded-For` already. */
export function applyForwardedFor(
  facts: RuleFacts,
  how: NonNullable<RequestRule['forwardedFor']>,
  asked: HeaderList,
): void {
  if (how === 'append') return
  removeField(facts.headers, 'x-forwarded-for')
  if (how === 'clear') return
  if (how === 'overwrite') {
    facts.headers.push('x-forwarded-for', facts.address)
    return
  }
  const before = headerValues(asked, 'x-forwarded-for') ?? ''
  const withoutUs = before.split(',').slice(0, -1).join(',').trim()
  if (withoutUs !== '') facts.headers.push('x-forwarded-for', withoutUs)
}
