/** Invitations: made by who is in, used once by who comes. */
import { createPublicKey, verify, X509Certificate } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { CountryCode, PopId } from '#/core/pops.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Clock, EpochMs, Seconds } from '#/core/units.ts'
import { fingerprintOf, readMeshAuthority } from './authority.ts'
import { createJoinToken } from './join-token.ts'

export interface InviteWish {
  /** The only PoP, or country, that the newcomer may belong to; absent: any. */
  readonly pop?: PopId
  readonly country?: CountryCode
  readonly lifeSeconds?: Seconds
}

export interface Invite {
  /** What the newcomer needs; shown once and kept nowhere. */
  readonly token: string
  readonly expiresAt: EpochMs
}

export interface InviteOptions {
  readonly fabric: Pick<Fabric, 'bucket'>
  readonly limits: Pick<Limits, 'inviteSeconds' | 'invites'>
  readonly clock: Clock
}

interface StoredInvite {
  readonly publicKey: string
  readonly expiresAt: EpochMs
  readonly pop?: PopId
  readonly country?: CountryCode
  /** Fingerprint of the key that used it. */
  readonly usedBy?: string
}

/** What is spent or too late is kept so long, to be told apart from what never was. */
const rememberMs = 7 * 86_400_000

/** Rejects on a platform that nobody founded yet. */
export async function createInvite({ fabric, limits, clock }: InviteOptions, wish: InviteWish): Promise<Invite> {
  const authority = await readMeshAuthority(fabric)
  if (authority === undefined) throw new EdgeError('internal', 'This platform has no mesh that a machine could join.')
  const bucket = fabric.bucket('invites')
  const kept = await bucket.list({ limit: limits.invites, keysOnly: true })
  if (kept.length >= limits.invites)
    throw new EdgeError(
      'overloaded',
      `There are ${kept.length} invitations already; they are forgotten a week after they expire.`,
    )
  const { text, token } = createJoinToken(fingerprintOf(new X509Certificate(authority).publicKey))
  const expiresAt = clock() + (wish.lifeSeconds ?? limits.inviteSeconds) * 1000
  const { pop, country } = wish
  const stored: StoredInvite = {
    publicKey: token.publicKey,
    expiresAt,
    ...(pop !== undefined && { pop }),
    ...(country !== undefined && { country }),
  }
  await bucket.put(token.id, Buffer.from(JSON.stringify(stored)), { expect: 0, expiresAt: expiresAt + rememberMs })
  return { token: text, expiresAt }
}

export interface InviteUse {
  readonly id: string
  /** What the newcomer signed with the invitation's key, and its signature. */
  readonly signed: Uint8Array
  readonly signature: Uint8Array
  readonly pop: PopId
  readonly country: CountryCode
  /** Of the newcomer's own key: the same may ask again when an answer was lost. */
  readonly fingerprint: string
}

/** Uses an invitation up; rejects with the reason, by this node's clock, and then nothing is used up. */
export async function spendInvite({ fabric, clock }: InviteOptions, use: InviteUse): Promise<void> {
  const bucket = fabric.bucket('invites')
  const entry = await bucket.get(use.id)
  if (entry === undefined) throw refused('this platform knows no such invitation')
  const invite = JSON.parse(Buffer.from(entry.value).toString()) as StoredInvite
  const key = createPublicKey({ key: Buffer.from(invite.publicKey, 'base64'), format: 'der', type: 'spki' })
  if (!verify(null, use.signed, key, use.signature)) throw refused('it is not the one that was given out')
  if (invite.usedBy === use.fingerprint) return
  if (invite.usedBy !== undefined) throw refused('it was used already, and works once')
  if (clock() > invite.expiresAt) throw refused(`it expired at ${new Date(invite.expiresAt).toISOString()}`)
  if (invite.pop !== undefined && invite.pop !== use.pop)
    throw refused(`it is for the PoP ${invite.pop}, not ${use.pop}`)
  if (invite.country !== undefined && invite.country !== use.country)
    throw refused(`it is for ${invite.country}, not ${use.country}`)
  const spent = Buffer.from(JSON.stringify({ ...invite, usedBy: use.fingerprint } satisfies StoredInvite))
  const written = await bucket.put(use.id, spent, { expect: entry.revision, expiresAt: invite.expiresAt + rememberMs })
  // Another node answered at the same moment: now it is used, or it was withdrawn.
  if (written === undefined) await spendInvite({ fabric, clock } as InviteOptions, use)
}

function refused(why: string): EdgeError {
  return new EdgeError('bad_request', `The invitation is of no use: ${why}.`)
}
