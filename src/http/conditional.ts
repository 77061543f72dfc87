/** Conditional requests with entity tags, RFC 9110 §13. */

/** The tags of an `If-Match` or `If-None-Match` field; `any` for `*`. Text that is no tag is left out (§8.8.3). */
export function parseEntityTags(field: string): 'any' | readonly string[] {
  if (field.trim() === '*') return 'any'
  return field.match(/(?:W\/)?"[\u0021\u0023-\u007e\u0080-\u00ff]*"/g) ?? []
}

function opaque(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}

/** §8.8.3.2: the weak comparison looks only at the opaque tag, the strong one refuses weak tags. */
export function sameEntityTag(a: string, b: string, { weak }: { readonly weak: boolean }): boolean {
  if (weak) return opaque(a) === opaque(b)
  return a === b && !a.startsWith('W/')
}

export interface Preconditions {
  readonly ifMatch: string | undefined
  readonly ifNoneMatch: string | undefined
}

/**
 * What the preconditions of a request say about a representation with this entity tag (§13.2.2, without dates):
 * `not-modified` is 304, `failed` is 412.
 */
export function decidePreconditions(
  method: string,
  { ifMatch, ifNoneMatch }: Preconditions,
  etag: string,
): 'proceed' | 'not-modified' | 'failed' {
  if (ifMatch !== undefined) {
    const tags = parseEntityTags(ifMatch)
    if (tags !== 'any' && !tags.some((tag) => sameEntityTag(tag, etag, { weak: false }))) return 'failed'
  }
  if (ifNoneMatch !== undefined) {
    const tags = parseEntityTags(ifNoneMatch)
    if (tags === 'any' || tags.some((tag) => sameEntityTag(tag, etag, { weak: true })))
      return method === 'GET' || method === 'HEAD' ? 'not-modified' : 'failed'
  }
  return 'proceed'
}

/** May a `Range` field be honoured (§13.1.5)? A date never matches where nothing has a modification date. */
export function rangeHolds(ifRange: string | undefined, etag: string): boolean {
  return ifRange === undefined || sameEntityTag(ifRange.trim(), etag, { weak: false })
}
