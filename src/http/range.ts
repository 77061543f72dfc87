/** Range requests, RFC 9110 §14. */

/** Positions of the first and last byte, both included. */
export interface Extent {
  readonly start: number
  readonly end: number
}

/** `whole`: answer with everything, status 200. */
export type RangeDecision =
  | { readonly kind: 'whole'; readonly why: 'absent' | 'other-unit' | 'malformed' | 'several' }
  | { readonly kind: 'part'; readonly start: number; readonly end: number }
  /** Status 416 (§15.5.17). */
  | { readonly kind: 'unsatisfiable' }

/** `parts`: `multipart/byteranges`, at least two, apart from each other, in the order in which they were asked for. */
export type RangesDecision = RangeDecision | { readonly kind: 'parts'; readonly parts: readonly Extent[] }

/** More than these are an attack, or better served by everything (§17.15). */
const mostRanges = 16
/** What a part costs besides its bytes; ranges less than this apart are one (§15.3.7.2). */
export const partOverheadBytes = 256

/**
 * Decides on a `Range` field for a representation of `size` bytes, for who sends one part at most: several ranges get
 * everything, as §14.2 allows.
 */
export function decideRange(field: string | undefined, size: number): RangeDecision {
  const specs = readSpecs(field)
  if (!Array.isArray(specs)) return specs
  return specs.length > 1 ? { kind: 'whole', why: 'several' } : decideOne(specs[0] ?? '', size)
}

/** The same for who sends several parts in one answer. */
export function decideRanges(field: string | undefined, size: number): RangesDecision {
  const specs = readSpecs(field)
  if (!Array.isArray(specs)) return specs
  if (specs.length <= 1) return decideOne(specs[0] ?? '', size)
  return specs.length > mostRanges ? { kind: 'whole', why: 'several' } : decideSeveral(specs, size)
}

function readSpecs(field: string | undefined): string[] | Extract<RangeDecision, { kind: 'whole' }> {
  if (field === undefined) return { kind: 'whole', why: 'absent' }
  const unit = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=/.exec(field)
  if (unit === null) return { kind: 'whole', why: 'malformed' }
  if (unit[1]!.toLowerCase() !== 'bytes') return { kind: 'whole', why: 'other-unit' }
  return field
    .slice(unit[0].length)
    .split(',', mostRanges * 2)
    .map((spec) => spec.trim())
    .filter((spec) => spec !== '')
}

function decideOne(spec: string, size: number): RangeDecision {
  const range = /^(\d{0,15})-(\d{0,15})$/.exec(spec)
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

/**
 * Ranges that overlap or nearly touch become one, and what would not be shorter than everything is everything: however
 * ranges are chosen, an answer is never longer than the whole (§17.15; «RangeAmp», Li et al., DSN 2020).
 */
function decideSeveral(specs: readonly string[], size: number): RangesDecision {
  const found: (Extent & { readonly order: number })[] = []
  for (const [order, spec] of specs.entries()) {
    const one = decideOne(spec, size)
    if (one.kind === 'whole') return one
    if (one.kind === 'part') found.push({ start: one.start, end: one.end, order })
  }
  if (found.length === 0) return { kind: 'unsatisfiable' }
  found.sort((a, b) => a.start - b.start)
  const apart: { start: number; end: number; order: number }[] = []
  let bytes = partOverheadBytes
  for (const { start, end, order } of found) {
    const before = apart.at(-1)
    if (before !== undefined && start <= before.end + partOverheadBytes) {
      before.end = Math.max(before.end, end)
      before.order = Math.min(before.order, order)
    } else apart.push({ start, end, order })
  }
  if (apart.length === 1) return { kind: 'part', start: apart[0]!.start, end: apart[0]!.end }
  for (const { start, end } of apart) bytes += end - start + 1 + partOverheadBytes
  if (bytes >= size) return { kind: 'whole', why: 'several' }
  apart.sort((a, b) => a.order - b.order)
  return { kind: 'parts', parts: apart.map(({ start, end }) => ({ start, end })) }
}
