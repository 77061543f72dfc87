/** From what people write to what the shared cache is asked to drop. */
import type { Site } from './snapshot.ts'

/**
 * The address under which the shared cache knows a page of a site: scheme, host in lower case without port, path and query. A
 * site is its host, whatever port of the platform it was asked at.
 */
export function publicUrl(scheme: 'http' | 'https', host: string, path: string): string {
  return `${scheme}://${host}${path}`
}

export interface PurgeUrl {
  /** Lower case, without port. */
  readonly host: string
  /** As `publicUrl` writes it; purges look past its scheme. */
  readonly url: string
}

/** A URL as people write it, with or without scheme and port; path and query as they stand. `undefined`: it is none. */
export function readPurgeUrl(text: string): PurgeUrl | undefined {
  const match = /^(?:(https?):\/\/)?([\w.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?([/?][^\s#]*)?$/i.exec(text)
  if (match === null) return undefined
  const scheme = match[1]?.toLowerCase() === 'http' ? 'http' : 'https'
  const host = match[2]!.toLowerCase()
  const rest = match[3] ?? '/'
  return { host, url: publicUrl(scheme, host, rest.startsWith('?') ? `/${rest}` : rest) }
}

/** The site that a host name belongs to; lower case, without port. */
export function siteOfHost(sites: Iterable<Site>, host: string): Site | undefined {
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
