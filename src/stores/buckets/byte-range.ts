/** Which bytes of an object were asked for. */
import type { ByteRange, RangeWish } from '#/core/buckets.ts'
import { decideRange } from '#/http/range.ts'

/** `undefined`: not satisfiable. */
export function rangeOf(wish: RangeWish | undefined, bytes: number): ByteRange | undefined {
  const all = { offset: 0, length: bytes }
  if (wish === undefined) return all
  if ('header' in wish) {
    const decided = decideRange(wish.header, bytes)
    if (decided.kind === 'whole') return all
    return decided.kind === 'part' ? { offset: decided.start, length: decided.end - decided.start + 1 } : undefined
  }
  if ('suffix' in wish) {
    const length = Math.min(wish.suffix, bytes)
    return length > 0 ? { offset: bytes - length, length } : undefined
  }
  const { offset, length } = wish
  if (offset === undefined && length === undefined) return all
  const from = offset ?? 0
  const most = Math.min(length ?? bytes, bytes - from)
  return from >= 0 && most > 0 ? { offset: from, length: most } : undefined
}
