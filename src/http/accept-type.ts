/**
 * Content negotiation for what Rimward itself says, error pages above all (RFC 9110 §12.5.1).
 */
export type PageType = 'html' | 'json' | 'text'

const mediaTypes: readonly (readonly [PageType, string, string])[] = [
  ['html', 'text/html', 'text/*'],
  ['json', 'application/json', 'application/*'],
  ['text', 'text/plain', 'text/*'],
]

/** The type an `Accept` value likes best; plain text when it has no opinion, as for curl. */
export function acceptedType(accept: string | undefined): PageType {
  if (accept === undefined) return 'text'
  let best: PageType = 'text'
  let bestQuality = 0
  for (const range of accept.slice(0, 1024).toLowerCase().split(',')) {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim())
    const quality = Number(parameters.find((part) => part.startsWith('q='))?.slice(2) ?? '1')
    if (!(quality > bestQuality)) continue
    const type = mediaTypes.find(([, full]) => full === name) ?? mediaTypes.find(([, , wide]) => wide === name)
    if (type === undefined || name === 'text/*') continue
    best = type[0]
    bestQuality = quality
  }
  return best
}
