/**
 * URLs as `_headers` and `_redirects` write them: a path, or an absolute `https` URL.
 * Source: developers.cloudflare.com/workers/static-assets/headers and …/redirects.
 */

const absolute = /^https:\/\/+([^/]+)\/?(.*)/

/** A line of one of the two files that cannot be used. */
export interface RuleFault {
  /** From 1. */
  readonly line: number
  readonly message: string
}

export const ruleLineLength = 2000

/** Does a rule's URL name a host? */
export function hasHost(url: string): boolean {
  return absolute.test(url)
}

function normalizePath(path: string, { search }: { readonly search: boolean }): string {
  // A scheme that is not special, so that only percent-encoding and dot segments are normalised.
  const url = new URL(`rule://${path.startsWith('/') ? path : `/${path}`}`)
  return search ? `${url.pathname}${url.search}${url.hash}` : url.pathname
}

export interface RuleUrlOptions {
  /** Refuse absolute URLs. */
  readonly onlyPath: boolean
  readonly allowPort: boolean
  /** Keep query and fragment. */
  readonly search: boolean
}

/** A rule's URL with its path normalised as request paths are, or why it cannot be used. */
export function parseRuleUrl(
  token: string,
  { onlyPath, allowPort, search }: RuleUrlOptions,
): { readonly url: string } | { readonly fault: string } {
  const match = absolute.exec(token)
  if (match !== null) {
    if (onlyPath) return { fault: `Only relative URLs are allowed here, not ${token}.` }
    if (!allowPort && /:\d+$/.test(match[1]!)) return { fault: `Ports are not supported in ${token}.` }
    return { url: `https://${match[1]}${normalizePath(match[2]!, { search })}` }
  }
  if (/^\w+:\/\//.test(token))
    return { fault: `URLs begin with a slash${onlyPath ? '' : ' or with https://'}: ${token}.` }
  if (!onlyPath && !token.startsWith('/')) return { fault: `URLs begin with a slash or with https://: ${token}.` }
  return { url: normalizePath(token, { search }) }
}
