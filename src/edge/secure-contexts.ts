/**
 * Certificates by server name, parsed once and kept: at most `tlsContexts` of them, the least recently used goes first.
 */

import { createHash } from 'node:crypto'
import { createSecureContext, type SecureContext } from 'node:tls'
import type { Certificate, Certificates } from '#/core/certificates.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'

export interface SecureContexts {
  /** Rejects when there is no certificate, or the look-up fails or takes longer than `certificateLookupMs`. */
  forName(serverName: string): Promise<Kept>
}

export interface Kept {
  readonly context: SecureContext
  readonly certificate: Certificate
  readonly askedAt: number
}

/** How long a certificate is used before the control plane is asked again whether it changed. */
const recheckMs = 30_000

export interface SecureContextsOptions {
  readonly certificates: Certificates
  readonly limits: Pick<Limits, 'certificateLookupMs' | 'tlsContexts'>
  readonly clock: Clock
}

export function createSecureContexts({ certificates, limits, clock }: SecureContextsOptions): SecureContexts {
  const kept = new Map<string, Kept>()
  const asking = new Map<string, Promise<Kept>>()

  function keep(name: string, entry: Kept): Kept {
    kept.delete(name)
    kept.set(name, entry)
    if (kept.size > limits.tlsContexts) kept.delete(kept.keys().next().value!)
    return entry
  }

  async function ask(name: string): Promise<Kept> {
    const before = kept.get(name)
    try {
      // The look-up is somebody else's code: it may throw at once, hang, or answer with nonsense.
      const certificate = await withDeadline(() => certificates.forName(name), limits.certificateLookupMs)
      if (certificate === undefined) {
        kept.delete(name)
        throw new Error(`there is no certificate for ${name}`)
      }
      const same = before?.certificate.chain === certificate.chain && before.certificate.key === certificate.key
      const context = same ? before.context : contextOf(certificate)
      return keep(name, { context, certificate, askedAt: clock() })
    } catch (thrown) {
      // A control plane that is away must not take down names that were served a moment ago.
      if (before !== undefined && kept.has(name)) return keep(name, { ...before, askedAt: clock() })
      throw thrown
    }
  }

  return {
    async forName(name) {
      const entry = kept.get(name)
      if (entry !== undefined && clock() - entry.askedAt < recheckMs) return keep(name, entry)
      let pending = asking.get(name)
      if (pending === undefined) {
        pending = ask(name).finally(() => asking.delete(name))
        asking.set(name, pending)
      }
      return pending
    },
  }
}

export const tlsOptions = {
  minVersion: 'TLSv1.2',
  // TLS 1.3 suites, then forward-secret AEAD suites for 1.2 (RFC 9325 §4.2).
  ciphers: [
    'TLS_AES_128_GCM_SHA256',
    'TLS_AES_256_GCM_SHA384',
    'TLS_CHACHA20_POLY1305_SHA256',
    'ECDHE-ECDSA-AES128-GCM-SHA256',
    'ECDHE-RSA-AES128-GCM-SHA256',
    'ECDHE-ECDSA-AES256-GCM-SHA384',
    'ECDHE-RSA-AES256-GCM-SHA384',
    'ECDHE-ECDSA-CHACHA20-POLY1305',
    'ECDHE-RSA-CHACHA20-POLY1305',
  ].join(':'),
} as const

/** Sessions are resumed only where this name is the same (RFC 8446 §4.6.1); one for the whole platform. */
export const sessionIdContext = createHash('sha256').update('rimward').digest('hex').slice(0, 32)

function contextOf(certificate: Certificate): SecureContext {
  return createSecureContext({ ...tlsOptions, sessionIdContext, cert: certificate.chain, key: certificate.key })
}

async function withDeadline<Value>(work: () => Promise<Value>, milliseconds: number): Promise<Value> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error('the certificate look-up took too long')), milliseconds)
  try {
    return await Promise.race([work(), promise])
  } finally {
    clearTimeout(timer)
  }
}
