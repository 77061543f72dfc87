/** When a certificate is ordered from ACME. Pure: time and the name decide. */
import { createHash } from 'node:crypto'
import type { EpochMs, Milliseconds } from '#/core/units.ts'

export interface AcmeFailure {
  /** Failed attempts in a row. */
  readonly attempts: number
  readonly at: EpochMs
  /** One sentence. */
  readonly reason: string
}

const minute = 60_000
const firstPause = 5 * minute
const longestPause = 12 * 60 * minute

/**
 * The first order is due at once, a renewal after two thirds of the certificate's life, the next attempt after 5, 10,
 * 20… minutes, 12 hours at most. Renewals come up to 1/30 of the life sooner and pauses up to a quarter longer, by the
 * name: certificates ordered together are not all renewed together.
 */
export function nextAcmeAttempt(
  hostname: string,
  held: { readonly notBefore: EpochMs; readonly notAfter: EpochMs } | undefined,
  failure: AcmeFailure | undefined,
): EpochMs {
  const life = held === undefined ? 0 : held.notAfter - held.notBefore
  const renewal = held === undefined ? 0 : held.notBefore + (life * 2) / 3 - (life / 30) * spread(hostname)
  if (failure === undefined) return Math.ceil(renewal)
  const jitter = 1 + spread(`${hostname} ${failure.attempts}`) / 4
  return Math.ceil(Math.max(renewal, failure.at + pauseAfter(failure.attempts) * jitter))
}

function pauseAfter(attempts: number): Milliseconds {
  return Math.min(firstPause * 2 ** Math.min(attempts - 1, 20), longestPause)
}

/** 0 to 1, the same for the same text. */
function spread(text: string): number {
  return createHash('sha256').update(text).digest().readUInt32BE() / 0x1_0000_0000
}

/** How often the state of a challenge or an order is asked for. */
export interface Polling {
  readonly attempts: number
  readonly firstPauseMs: Milliseconds
  readonly longestPauseMs: Milliseconds
}

export const defaultPolling: Polling = { attempts: 15, firstPauseMs: 1_000, longestPauseMs: 10_000 }
