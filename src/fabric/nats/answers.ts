/** What JetStream's answers mean, as values. */

/** Part of every answer of the JetStream API and of an acknowledgement. */
export interface ApiAnswer {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string }
}

export interface Acknowledgement extends ApiAnswer {
  readonly seq?: number
  /** A message of this id was there before. */
  readonly duplicate?: boolean
}

export type Meaning =
  | { readonly kind: 'done' }
  /** `Nats-Expected-Last-Subject-Sequence` was not what the subject's last message has. */
  | { readonly kind: 'mismatch' }
  | { readonly kind: 'absent' }
  /** No leader, no majority, or the same message is still under way. */
  | { readonly kind: 'unavailable'; readonly why: string }
  | { readonly kind: 'full'; readonly why: string }
  | { readonly kind: 'refused'; readonly code: number; readonly why: string }

/** Numbers of `server/errors.json` of nats-server. */
export const apiErrors = {
  mismatch: [10071, 10164],
  absent: [10037, 10059, 10014],
  unavailable: [10006, 10007, 10008, 10009, 10118, 10158, 10167],
  full: [10002, 10023, 10028, 10046, 10047],
  noPeers: 10005,
  storeFailed: 10077,
  notClustered: 10074,
  nameInUse: 10058,
  overlap: 10065,
  jetStreamOff: [10039, 10076],
} as const

export function meaningOf({ error }: ApiAnswer): Meaning {
  if (error === undefined) return { kind: 'done' }
  const number = error.err_code ?? 0
  const why = error.description ?? `error ${error.code}`
  const among = (numbers: readonly number[]) => numbers.includes(number)
  if (among(apiErrors.mismatch)) return { kind: 'mismatch' }
  if (among(apiErrors.absent)) return { kind: 'absent' }
  if (among(apiErrors.full)) return { kind: 'full', why }
  if (number === apiErrors.storeFailed)
    return /maximum|no space|insufficient/i.test(why) ? { kind: 'full', why } : { kind: 'unavailable', why }
  if (among(apiErrors.unavailable) || error.code === 503) return { kind: 'unavailable', why }
  return { kind: 'refused', code: number, why }
}
