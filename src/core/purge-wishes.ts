/** From what people write to what the shared cache is asked to drop. */
import type { PurgeWish } from './cache-policy.ts'
import type { Site } from './snapshot.ts'

/**
 * The address under which the shared cache knows a page of a site: scheme, host in lower case without port, path and query. A
 * site is its host, whatever port of the platform it was asked at.
 */
export function publicUrl(scheme: 'http' | 'https', host: string, path: string): string {
  return `${scheme}://${host}${path}`
}

/**
 * One page, as fetched over cleartext and over TLS; `undefined` when the text is no http URL. The text's path and query are
 * taken as they stand; a scheme may be missing.
 */
export function urlWishes(
  text: string,
  how: { readonly scope?: string; readonly soft: boolean },
): { readonly host: string; readonly wishes: readonly PurgeWish[] } | undefined {
  const match = /^(?:https?:\/\/)?((?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]))(?::\d{1,5})?([/?][^\s#]*)?$/i.exec(text)
  if (match === null) return undefined
  const host = match[1]!.toLowerCase()
  const rest = match[2] ?? '/'
  const path = rest.startsWith('?') ? `/${rest}` : rest
  const wishes = (['http', 'https'] as const).map((scheme) => ({
    ...how,
    what: { kind: 'url' as const, url: publicUrl(scheme, host, path) },
  }))
  return { host, wishes }
}

/** Everything under `host/path`, in the forms `example.com/a`, `https://example.com/a`. */
export function prefixWishes(
  text: string,
  how: { readonly scope?: string; readonly soft: boolean },
): { readonly host: string; readonly wishes: readonly PurgeWish[] } | undefined {
  const url = urlWishes(text, how)
  if (url === undefined) return undefined
  const wishes = url.wishes.map((wish) => ({
    ...wish,
    what: { kind: 'prefix' as const, prefix: (wish.what as { readonly url: string }).url },
  }))
  return { host: url.host, wishes }
}

/** The site that a host name belongs to; lower case, without port. */
export function siteOfHost(sites: readonly Site[], host: string): Site | undefined {
  let found: Site | undefined
  let length = 0
  for (const site of sites)
    for (const name of site.hostnames) {
      if (name === host) return site
      const covers = name.startsWith('*.') && host.endsWith(name.slice(1)) && host.length >= name.length
      if (!covers || name.length <= length) continue
      found = site
      length = name.length
    }
  return found
}
