/** Who asks? Signature V4 in the `Authorization` field, or in the URL of a presigned request. */
import type { AccessKeys } from '#/core/access-keys.ts'
import type { EpochMs } from '#/core/units.ts'
import type { S3Request } from './request.ts'
import {
  amzTime,
  canonicalRequest,
  type Scope,
  type SignedRequest,
  sameSignature,
  sha256,
  sign,
  signingKey,
} from './signature.ts'
import { invalid, notImplemented, S3Error } from './trouble.ts'

export interface Signer {
  readonly key: Uint8Array
  readonly time: string
  readonly scope: Scope
  /** Of the head: the first chunk of a body that is signed in chunks refers to it. */
  readonly signature: string
}

/** How the body is protected: its hash, or one of S3's words for other ways. */
export interface Authorized {
  readonly signer: Signer
  readonly payload: string
}

const algorithm = 'AWS4-HMAC-SHA256'
const skewMs = 15 * 60_000
const longestPresignedS = 604_800

/** Throws an `S3Error`. */
export function authorize(request: S3Request, keys: AccessKeys, now: EpochMs): Authorized {
  const field = request.header('authorization')
  const isPresigned = request.query.some(([name]) => name === 'X-Amz-Signature')
  if (field === undefined && !isPresigned) throw invalid('Authorization')
  if (request.header('x-amz-security-token') !== undefined || request.parameter('X-Amz-Security-Token') !== undefined)
    throw invalid('X-Amz-Security-Token')
  return isPresigned ? byQuery(request, keys, now) : byHeader(request, field!, keys, now)
}

function byHeader(request: S3Request, field: string, keys: AccessKeys, now: EpochMs): Authorized {
  const read = /^AWS4-HMAC-SHA256 +Credential=([^,\s]+), *SignedHeaders=([^,\s]+), *Signature=([0-9a-f]{64})$/.exec(
    field,
  )
  if (read === null) throw notImplemented(`Authorization '${field.split(' ', 1)[0]!.slice(0, 40)}'`)
  const [, credential, signed, signature] = read as unknown as [string, string, string, string]
  const time = request.header('x-amz-date') ?? ''
  const at = amzTime(time)
  if (Number.isNaN(at)) throw invalid('x-amz-date')
  if (Math.abs(now - at) > skewMs)
    throw new S3Error(
      403,
      'RequestTimeTooSkewed',
      'The difference between the request time and the server time is too large.',
    )
  const payload = request.header('x-amz-content-sha256')
  if (payload === undefined) throw invalid('x-amz-content-sha256')
  return check(request, { credential, signed, signature, time, payload, query: request.query }, keys)
}

function byQuery(request: S3Request, keys: AccessKeys, now: EpochMs): Authorized {
  const named = (name: string) => {
    const value = request.parameter(name)
    if (value === undefined) throw invalid(name)
    return value
  }
  if (named('X-Amz-Algorithm') !== algorithm) throw notImplemented(`X-Amz-Algorithm '${named('X-Amz-Algorithm')}'`)
  const time = named('X-Amz-Date')
  const seconds = Number(named('X-Amz-Expires'))
  const at = amzTime(time)
  if (Number.isNaN(at)) throw invalid('X-Amz-Date')
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > longestPresignedS)
    throw invalid(`X-Amz-Expires must be between 1 and ${longestPresignedS} seconds.`)
  if (now < at - skewMs || now > at + seconds * 1000) throw new S3Error(400, 'ExpiredRequest', 'Request has expired')
  const query = request.query.filter(([name]) => name !== 'X-Amz-Signature')
  const payload =
    request.parameter('X-Amz-Content-Sha256') ?? request.header('x-amz-content-sha256') ?? 'UNSIGNED-PAYLOAD'
  const asked = {
    credential: named('X-Amz-Credential'),
    signed: named('X-Amz-SignedHeaders'),
    signature: named('X-Amz-Signature'),
    ...{ time, payload, query },
  }
  return check(request, asked, keys)
}

interface Claim {
  readonly credential: string
  readonly signed: string
  readonly signature: string
  readonly time: string
  readonly payload: string
  readonly query: SignedRequest['query']
}

function check(request: S3Request, claim: Claim, keys: AccessKeys): Authorized {
  const { credential, signature, time, payload, query } = claim
  const [accessKeyId = '', day = '', region = '', service = '', end = ''] = credential.split('/')
  if (end !== 'aws4_request' || service !== 's3' || day !== time.slice(0, 8)) throw invalid('Credential')
  if (!sameSignature(accessKeyId, keys.accessKeyId)) throw new S3Error(401, 'Unauthorized', 'Unauthorized')
  const signedHeaders = claim.signed.split(';')
  if (!signedHeaders.includes('host')) throw invalid('SignedHeaders must include host')
  const scope = { day, region, service }
  const key = signingKey(keys.secretAccessKey, scope)
  const { method, path, header } = request
  const canonical = canonicalRequest({ method, path, query, header, signedHeaders, payload })
  if (!sameSignature(sign(key, algorithm, time, scope, sha256(canonical)), signature))
    throw new S3Error(
      403,
      'SignatureDoesNotMatch',
      'The request signature we calculated does not match the signature you provided. Check your secret access key and signing method.',
    )
  return { signer: { key, time, scope, signature }, payload }
}
