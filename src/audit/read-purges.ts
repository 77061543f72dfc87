/** Whose URLs, tags and hosts lie in a node's journal and log of purges, until they are old enough to go. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Owner } from '#/core/holdings.ts'
import type { Bytes } from '#/core/units.ts'

export interface Wish {
  readonly scope?: string
  readonly what: { readonly kind: string }
}

export async function* readPurges(path: string): AsyncGenerator<{ readonly owner: Owner; readonly bytes: Bytes }> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY }))
    for (const wish of wishesOf(line)) {
      if (wish.scope === undefined || tellsNothing(wish)) continue
      yield { owner: { kind: 'site', id: wish.scope }, bytes: Buffer.byteLength(JSON.stringify(wish)) }
    }
}

/** That everything of a site went, or something that only nodes inside can read. */
export const tellsNothing = ({ what }: Wish) => what.kind === 'everything' || what.kind === 'hidden'

/** A line of the journal is a wish, one of the log `[origin, number, at, wishes]`; others tell how far the log goes. */
export function wishesOf(line: string): readonly Wish[] {
  try {
    const read = JSON.parse(line) as unknown
    const wishes = Array.isArray(read) ? (read[3] as unknown) : [read]
    return Array.isArray(wishes) ? wishes.filter(isWish) : []
  } catch {
    return []
  }
}

function isWish(value: unknown): value is Wish {
  const what = (value as Partial<Wish> | null)?.what
  return typeof what === 'object' && what !== null && 'kind' in what
}

/** The same line with everything of these sites in place of what it names; undefined where it names nothing of them. */
export function blurWishes(line: string, goes: (site: string) => boolean): string | undefined {
  const telling = (wish: Wish) => wish.scope !== undefined && goes(wish.scope) && !tellsNothing(wish)
  if (!wishesOf(line).some(telling)) return undefined
  const blur = (wish: unknown) => (isWish(wish) && telling(wish) ? { ...wish, what: { kind: 'everything' } } : wish)
  const read = JSON.parse(line) as unknown
  if (!Array.isArray(read)) return JSON.stringify(blur(read))
  return JSON.stringify(read.map((part) => (Array.isArray(part) ? part.map(blur) : part)))
}
