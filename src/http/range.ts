/** Range requests, RFC 9110 §14. */

/** Positions are inclusive. `whole`: answer with everything, status 200. */
export type RangeDecision =
  | { readonly kind: 'whole'; readonly why: 'absent' | 'other-unit' | 'malformed' | 'several' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  /** Status 416 (§15.5.17). */
  | { readonly kind: 'unsatisfiable' }

/**
 * Decides on a `Range` field for a representation of `size` bytes. Several ranges get everything: a server may ignore
 * the field (§14.2), and no client that matters needs `multipart/byteranges`.
 */
export function decideRange(field: string | undefined, size: number): RangeDecision {
  if (field === undefined) return { kind: 'whole', why: 'absent' }
  const unit = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=/.exec(field)
  if (unit === null) return { kind: 'whole', why: 'malformed' }
  if (unit[1]!.toLowerCase() !== 'bytes') return { kind: 'whole', why: 'other-unit' }
  const specs = field
    .slice(unit[0].length)
    .split(',')
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '')
  if (specs.length > 1) return { kind: 'whole', why: 'several' }
  const range = /^(\d{0,15})-(\d{0,15})$/.exec(specs[0] ?? '')
  if (range === null || (range[1] === '' && range[2] === '')) return { kind: 'whole', why: 'malformed' }
  const [, first, last] = range as unknown as [string, string, string]
  if (first === '') {
    const suffix = Number(last)
    if (suffix === 0 || size === 0) return { kind: 'unsatisfiable' }
    return { kind: 'part', start: Math.max(0, size - suffix), end: size - 1 }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return { kind: 'whole', why: 'malformed' }
  if (start >= size) return { kind: 'unsatisfiable' }
  return { kind: 'part', start, end: last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}
