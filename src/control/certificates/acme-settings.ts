/** What an operator says to have certificates from an ACME authority (RFC 8555). */
import { isIP } from 'node:net'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'

export interface AcmeSettings {
  /** RFC 8555 §7.1.1. https, or http on loopback. */
  readonly directoryUrl: string
  readonly email: string
  /** One certificate each. */
  readonly hostnames: readonly string[]
  /** The operator has read and agreed to the authority's terms of service (RFC 8555 §7.3). */
  readonly termsAgreed: boolean
  /** RFC 8555 §7.3.4, where the authority wants its customers to be known. */
  readonly externalAccount?: { readonly keyId: string; readonly hmacKey: string }
}

const label = '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
const publicName = new RegExp(`^(${label}\\.)+${label}$`)

/** The settings with names in lower case, each once. Throws `bad_request` with one sentence. */
export function checkAcmeSettings(settings: AcmeSettings, limits: Pick<Limits, 'acmeHostnames'>): AcmeSettings {
  checkDirectory(settings.directoryUrl)
  if (!settings.termsAgreed) throw wrong("Agree to the authority's terms of service first (termsAgreed).")
  if (!/^[^\s@,]+@[^\s@,]+\.[^\s@,]+$/.test(settings.email)) throw wrong(`${settings.email} is no e-mail address.`)
  const hostnames = [...new Set(settings.hostnames.map((name) => name.toLowerCase().replace(/\.$/, '')))]
  if (hostnames.length > limits.acmeHostnames) throw wrong(`At most ${limits.acmeHostnames} host names.`)
  for (const name of hostnames) checkName(name)
  const { externalAccount: account } = settings
  if (account !== undefined && !/^[A-Za-z0-9_-]+=*$/.test(account.hmacKey))
    throw wrong('The key of the external account is base64url.')
  return { ...settings, hostnames }
}

function checkDirectory(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined) throw wrong(`${text.slice(0, 200)} is no URL of an ACME directory.`)
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback))
    throw wrong('The ACME directory is reached by https (http on this machine only).')
}

function checkName(name: string): void {
  if (name.startsWith('*.'))
    throw wrong(`${name}: wildcards need the DNS-01 challenge, which is not supported; upload that certificate.`)
  if (isIP(name) !== 0) throw wrong(`${name}: certificates for addresses are not supported.`)
  if (name.length > 253 || !publicName.test(name) || /(^|\.)(localhost|local|internal|invalid|test)$/.test(name))
    throw wrong(`${name}: no public authority gives a certificate for this name.`)
}

function wrong(why: string): EdgeError {
  return new EdgeError('bad_request', why)
}
