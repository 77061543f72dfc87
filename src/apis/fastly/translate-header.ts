/** Header rules. https://www.fastly.com/documentation/reference/api/vcl-services/header/ */
import type { ServicePart } from '#/control/services/service-records.ts'
import { readValue } from '#/core/condition.ts'
import type { HeaderRule } from '#/core/delivery-rules.ts'
import { readPattern } from '#/core/pattern.ts'
import { hopByHop } from '#/http/header-list.ts'
import { badRequest } from './errors.ts'
import type { Resolve } from './translate.ts'
import { every, flagOf, textOf } from './translate-fields.ts'

const actions: Readonly<Record<string, HeaderRule['action']>> = {
  set: 'set',
  append: 'append',
  delete: 'delete',
  regex: 'replace',
  regex_repeat: 'replace-all',
}
const phases: Readonly<Record<string, HeaderRule['phase']>> = {
  request: 'request',
  fetch: 'fetch',
  cache: 'cache',
  response: 'response',
}

export function translateHeader(part: ServicePart, resolve: Resolve): HeaderRule {
  const bad = (why: string) => badRequest(`Header rule '${part.name}': ${why}.`)
  const action = actions[textOf(part, 'action') ?? '']
  if (action === undefined) throw bad(`the action '${textOf(part, 'action') ?? ''}' is not supported`)
  const phase = phases[textOf(part, 'type') ?? '']
  if (phase === undefined) throw bad(`the type '${textOf(part, 'type') ?? ''}' is not supported`)
  const target = targetOf(textOf(part, 'dst') ?? '', phase, action)
  if (typeof target === 'string') throw bad(target)

  const conditionPhase = phase === 'fetch' ? 'request' : phase
  const source = action === 'delete' ? undefined : textOf(part, 'src')
  if (source === undefined && action !== 'delete') throw bad('src is missing')
  const read = source === undefined ? undefined : readValue(source, conditionPhase)
  if (read?.ok === false) throw bad(`src: ${read.why}`)
  const replaces = action === 'replace' || action === 'replace-all'
  const pattern = replaces ? textOf(part, 'regex') : undefined
  if (replaces && pattern === undefined) throw bad('regex is missing')
  const checked = pattern === undefined ? undefined : readPattern(pattern)
  if (checked?.ok === false) throw bad(checked.why)
  return {
    name: part.name,
    phase,
    action,
    target,
    ...(source !== undefined && { value: source }),
    ...(pattern !== undefined && { pattern, replacement: textOf(part, 'substitution') ?? '' }),
    onlyIfAbsent: flagOf(part, 'ignore_if_set'),
    ...every(
      resolve(textOf(part, 'request_condition'), conditionPhase, part),
      resolve(textOf(part, 'cache_condition'), conditionPhase, part),
      resolve(textOf(part, 'response_condition'), conditionPhase, part),
    ),
  }
}

/** The target, or why there is none. */
function targetOf(
  dst: string,
  phase: HeaderRule['phase'],
  action: HeaderRule['action'],
): HeaderRule['target'] | string {
  if (dst === 'url') {
    if (phase !== 'request') return "'url' can be changed in the type 'request' only"
    return action === 'append' || action === 'delete' ? `'url' cannot be changed by '${action}'` : { kind: 'url' }
  }
  const field = /^http\.([\w!#$%&'*+.^`|~-]+)$/.exec(dst)?.[1]?.toLowerCase()
  if (field === undefined) return `the destination '${dst.slice(0, 100)}' is not supported`
  if (hopByHop.has(field) || field === 'content-length')
    return `${field} belongs to the connection and cannot be changed`
  return { kind: 'field', field }
}
