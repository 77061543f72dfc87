/**
 * Content codings that a client accepts (RFC 9110 §12.5.3) and which of ours it gets.
 */

/** Codings that are made and undone here; `x-gzip` is `gzip` (§8.4.1.3). */
export type Coding = 'zstd' | 'br' | 'gzip'

/** What one `Accept-Encoding` field says; qualities are 0 to 1, `undefined` where a name is not listed. */
export interface AcceptedCodings {
  readonly zstd: number | undefined
  readonly br: number | undefined
  readonly gzip: number | undefined
  readonly identity: number | undefined
  /** `*`: every coding that is not listed. */
  readonly others: number | undefined
}

/** No field: every coding is acceptable, says the RFC; who did not ask still gets plain bytes. */
export const nothingSaid: AcceptedCodings = {
  zstd: undefined,
  br: undefined,
  gzip: undefined,
  identity: undefined,
  others: undefined,
}

/** Longer fields are read up to here. */
const longest = 1024

/** A member with a malformed quality counts as not listed; of a name that comes twice the last one counts. */
export function parseAcceptEncoding(field: string | undefined): AcceptedCodings {
  if (field === undefined) return nothingSaid
  const found: { -readonly [Name in keyof AcceptedCodings]: AcceptedCodings[Name] } = { ...nothingSaid }
  for (const member of field.slice(0, longest).toLowerCase().split(',')) {
    const [name = '', ...parameters] = member.split(';').map((part) => part.trim())
    const quality = qualityOf(parameters)
    if (quality === undefined) continue
    if (name === 'x-gzip') found.gzip = quality
    else if (name === '*') found.others = quality
    else if (name === 'zstd' || name === 'br' || name === 'gzip' || name === 'identity') found[name] = quality
  }
  return found
}

/** RFC 9110 §12.4.2. */
function qualityOf(parameters: readonly string[]): number | undefined {
  const weight = parameters.find((part) => part.startsWith('q='))
  if (weight === undefined) return 1
  return /^q=(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/.test(weight) ? Number(weight.slice(2)) : undefined
}

/** May an answer in this coding go to the client as it is? */
export function acceptsCoding(accepted: AcceptedCodings, coding: Coding): boolean {
  return (accepted[coding] ?? accepted.others ?? 0) > 0
}

/** Only `identity;q=0`, or `*;q=0` without naming it, forbids plain bytes. */
export function acceptsPlain(accepted: AcceptedCodings): boolean {
  return (accepted.identity ?? accepted.others ?? 1) > 0
}

/** The cheapest to make first, where the client likes several equally. */
const ours: readonly Coding[] = ['zstd', 'br', 'gzip']

/**
 * The coding to send. Only what the client names is made for it, and for a bare `*` gzip, which everybody reads; plain
 * bytes win only where the client names `identity` with a higher quality.
 */
export function chooseCoding(accepted: AcceptedCodings): Coding | 'identity' {
  let best: Coding | 'identity' = 'identity'
  let quality = acceptsPlain(accepted) ? (accepted.identity ?? 0) : -1
  for (const coding of ours) {
    const named = accepted[coding] ?? (coding === 'gzip' ? accepted.others : undefined) ?? 0
    if (named <= 0 || named < quality) continue
    if (named === quality && best !== 'identity') continue
    best = coding
    quality = named
  }
  return best
}
