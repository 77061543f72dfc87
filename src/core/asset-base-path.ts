/**
 * `base_path`: the folder of the public address below which a deployment's files lie. Canonical form: a slash at both
 * ends, `/` for none.
 */
export type BasePath = string

/** The canonical form, or why the value cannot be used, as a sentence. */
export function parseBasePath(value: unknown): { readonly base: BasePath } | { readonly fault: string } {
  if (typeof value !== 'string' || value === '') return { fault: 'must be a path' }
  if (value.startsWith('//') || /^[a-zA-Z][a-zA-Z\d+.-]*:/.test(value)) return { fault: 'must be a path, not a URL' }
  if (/[\\?#%\u0000-\u001f\u007f]/.test(value))
    return { fault: 'must not hold backslashes, queries, fragments, percent signs or control characters' }
  const segments: string[] = []
  for (const segment of value.split('/')) {
    if (segment === '..') segments.pop()
    else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  return { base: segments.length === 0 ? '/' : `/${segments.join('/')}/` }
}

/** The path below the base; `undefined` when it lies outside. Both are decoded. */
export function stripBasePath(path: string, base: BasePath): string | undefined {
  if (base === '/') return path
  if (path === base.slice(0, -1)) return '/'
  return path.startsWith(base) ? path.slice(base.length - 1) : undefined
}

export function addBasePath(path: string, base: BasePath): string {
  return base === '/' ? path : base.slice(0, -1) + path
}
