/** What the site of a service is called. */

/** The name of a service's site: lower case, other characters turned into `-`. */
export function siteNameOf(serviceName: string): string {
  return serviceName
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '-')
    .slice(0, 63)
    .replace(/^-+|-+$/g, '')
}
