/**
 * Reading and thinning flat header lists (`name, value, name, value…`); names compare without case (RFC 9110 §5.1).
 */

/** First value of a field, or undefined; `name` in lower case. */
export function headerValue(headers: readonly string[], name: string): string | undefined {
  for (let index = 0; index < headers.length; index += 2) {
    const field = headers[index]!
    if (field.length === name.length && field.toLowerCase() === name) return headers[index + 1]
  }
  return undefined
}

/** All values of a field joined as one list (RFC 9110 §5.3), or undefined; `name` in lower case. */
export function headerValues(headers: readonly string[], name: string): string | undefined {
  let joined: string | undefined
  for (let index = 0; index < headers.length; index += 2) {
    const field = headers[index]!
    if (field.length !== name.length || field.toLowerCase() !== name) continue
    joined = joined === undefined ? headers[index + 1]! : `${joined}, ${headers[index + 1]}`
  }
  return joined
}

/** Fields that concern one connection only (RFC 9110 §7.6.1), whether or not `Connection` names them. */
export const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'proxy-authenticate',
  'proxy-authorization',
])

/** Fields of the message itself: naming them in `Connection` must not remove them (a known way around checks). */
const neverHopByHop: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'content-length',
  'content-type',
  'cookie',
  'host',
  'range',
])

/** Lower-case names listed in `Connection` that may be removed; undefined when there are none. */
export function connectionNames(headers: readonly string[]): Set<string> | undefined {
  const value = headerValues(headers, 'connection')
  if (value === undefined) return undefined
  let names: Set<string> | undefined
  for (const part of value.split(',')) {
    const name = part.trim().toLowerCase()
    if (name === '' || name === 'close' || name === 'keep-alive' || hopByHop.has(name) || neverHopByHop.has(name))
      continue
    names ??= new Set()
    names.add(name)
  }
  return names
}

/** A new list without hop-by-hop fields, without those that `Connection` names, and without `drop` (lower case). */
export function endToEnd(headers: readonly string[], drop?: ReadonlySet<string>): string[] {
  const named = connectionNames(headers)
  const kept: string[] = []
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index]!.toLowerCase()
    if (hopByHop.has(name) || drop?.has(name) || named?.has(name)) continue
    kept.push(headers[index]!, headers[index + 1]!)
  }
  return kept
}
