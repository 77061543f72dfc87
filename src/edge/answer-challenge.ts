/**
 * Answers certificate authorities that ask for proof of a name (ACME HTTP-01, RFC 8555 §8.3).
 */

import type { Certificates } from '#/core/certificates.ts'
import type { Answer, Exchange } from '#/core/exchange.ts'

const prefix = '/.well-known/acme-challenge/'

/** Only on cleartext and only while a challenge is open; otherwise undefined, and the site answers. */
export function answerChallenge(
  exchange: Exchange,
  certificates: Certificates | undefined,
): Promise<Answer | undefined> | undefined {
  if (certificates === undefined || exchange.scheme !== 'http' || !exchange.path.startsWith(prefix)) return undefined
  return lookUp(exchange, certificates, exchange.path.slice(prefix.length))
}

async function lookUp(exchange: Exchange, certificates: Certificates, token: string): Promise<Answer | undefined> {
  if (!/^[\w-]{1,256}$/.test(token)) return undefined
  const proof = await certificates.challenge(exchange.host, token)
  if (proof === undefined) return undefined
  return { status: 200, headers: ['content-type', 'text/plain'], body: Buffer.from(proof) }
}
