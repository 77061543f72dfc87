/** Whose URLs, tags and hosts lie in a node's journal and log of purges, until they are old enough to go. */
import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Owner } from '#/core/holdings.ts'
import type { Bytes } from '#/core/units.ts'

interface Wish {
  readonly scope?: string
  readonly what: { readonly kind: string }
}

export async function* readPurges(path: string): AsyncGenerator<{ readonly owner: Owner; readonly bytes: Bytes }> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY }))
    for (const wish of wishesOf(line)) {
      // That everything of a site went tells nothing of it.
      if (wish.scope === undefined || wish.what.kind === 'everything') continue
      yield { owner: { kind: 'site', id: wish.scope }, bytes: Buffer.byteLength(JSON.stringify(wish)) }
    }
}

/** A line of the journal is a wish, one of the log `[origin, number, at, wishes]`; others tell how far the log goes. */
function wishesOf(line: string): readonly Wish[] {
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
