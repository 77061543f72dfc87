/** Tokens of asset uploads: JSON Web Tokens (RFC 7519), HS256 under a key that lies sealed in the fabric. */
import { randomBytes } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { BlobHash, ProgramName } from '#/core/snapshot.ts'
import type { Clock, Seconds } from '#/core/units.ts'
import { AssetsRefused } from './assets-refused.ts'

/** `upload` lets its holder send the files of one manifest; `complete` names a stored manifest for one deploy. */
export type TokenPurpose = 'upload' | 'complete'

export interface AssetToken {
  readonly session: string
  readonly program: ProgramName
  /** `upload`: the list of files as it was sent. `complete`: the manifest of the deployment. */
  readonly manifest: BlobHash
  readonly files: number
}

export interface AssetTokens {
  issue(purpose: TokenPurpose, token: AssetToken): Promise<string>
  /** Rejects with `AssetsRefused` (`bad_token`, `token_expired`). */
  read(purpose: TokenPurpose, jwt: string): Promise<AssetToken>
}

interface Dependencies {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly clock: Clock
  readonly lifetime: Seconds
}

async function signingKey(fabric: Fabric, seal: Seal): Promise<Uint8Array> {
  const bucket = fabric.bucket('asset-upload-keys')
  let stored = await bucket.get('current')
  if (stored === undefined) {
    const fresh = seal.seal(randomBytes(32).toString('base64'))
    // Whoever comes first decides; the others take what is there.
    await bucket.put('current', Buffer.from(fresh), { expect: 0 })
    stored = await bucket.get('current')
  }
  return Buffer.from(seal.open(Buffer.from(stored!.value).toString('utf8')), 'base64')
}

export async function openAssetTokens({ fabric, seal, clock, lifetime }: Dependencies): Promise<AssetTokens> {
  const key = await signingKey(fabric, seal)
  return {
    issue(purpose, { session, program, manifest, files }) {
      // wrangler sends one streamed request a file when it finds this claim.
      const claims = purpose === 'upload' ? { wrangler_single_asset_uploads: true } : {}
      return new SignJWT({ ...claims, session, program, manifest, files })
        .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
        .setAudience(purpose)
        .setExpirationTime(Math.floor(clock() / 1000) + lifetime)
        .sign(key)
    },
    async read(purpose, jwt) {
      try {
        const options = { algorithms: ['HS256'], audience: purpose, currentDate: new Date(clock()) }
        const { payload } = await jwtVerify<AssetToken>(jwt, key, options)
        const { session, program, manifest, files } = payload
        return { session, program, manifest, files }
      } catch (error) {
        if (error instanceof errors.JWTExpired)
          throw new AssetsRefused(
            'token_expired',
            'The token of this asset upload has expired; start the upload again.',
          )
        throw new AssetsRefused('bad_token', `This is not a token for an asset upload (${purpose}).`, { cause: error })
      }
    },
  }
}
