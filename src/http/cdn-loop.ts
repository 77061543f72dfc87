/** CDN-Loop: which networks a request went through (RFC 8586 §2). */

/** Our name in it. */
export const loopToken = 'rimward'

/** How often this platform is named: how often the request left here already. */
export function countHops(headers: readonly string[]): number {
  let hops = 0
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i]!.length !== 8 || headers[i]!.toLowerCase() !== 'cdn-loop') continue
    for (const member of headers[i + 1]!.split(',')) if (member.split(';')[0]!.trim() === loopToken) hops++
  }
  return hops
}
