/**
 * Keys for the S3 API, made from the API token as Cloudflare makes them: the id is the token's, the secret its SHA-256
 * («R2 > Authentication», https://developers.cloudflare.com/r2/api/tokens/).
 */
import { createHash } from 'node:crypto'

export interface AccessKeys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}

/** 32 hex digits; there is one token. */
export const tokenId = createHash('sha256').update('administrator token').digest('hex').slice(0, 32)

export function accessKeysOf(token: string): AccessKeys {
  return { accessKeyId: tokenId, secretAccessKey: createHash('sha256').update(token).digest('hex') }
}
