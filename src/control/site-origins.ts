/** Origins of a site, from what was wished to what is kept: named, checked against each other, keys sealed. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { HealthCheck, Origin, OriginPool } from '#/core/origin.ts'
import { type OriginChoice, tlsVersions } from '#/core/origin.ts'
import type { Seal } from '#/core/ports.ts'
import { Refusal } from './refusal.ts'
import type { OriginWish } from './site-form.ts'

const bad = (message: string) => new Refusal('bad_address', message)

/** Throws a `Refusal` (`bad_address`). A key may be left out where the origin had it with the same certificate before. */
export function toOrigins(
  wishes: readonly OriginWish[],
  seal: Pick<Seal, 'seal'>,
  before: readonly Origin[],
): readonly Origin[] {
  const origins = wishes.map((wish) => toOrigin(wish, seal, before))
  const names = new Set<string>()
  for (const { name } of origins) {
    if (names.has(name)) throw bad(`Two origins are called '${name}'; give them names of their own.`)
    names.add(name)
  }
  return origins
}

function toOrigin(wish: OriginWish, seal: Pick<Seal, 'seal'>, before: readonly Origin[]): Origin {
  const { name: given, clientKey: key, shield: _shield, ...rest } = wish
  const url = new URL(wish.url)
  const name = given ?? url.host
  checkTls(name, url, wish)
  const { clientCertificate } = wish
  if (clientCertificate === undefined) {
    if (key !== undefined) throw bad(`Origin '${name}' has a clientKey, but no clientCertificate.`)
    return { ...rest, name, url: url.href }
  }
  const known = before.find((one) => one.name === name && one.clientCertificate === clientCertificate)?.clientKey
  if (key === undefined && known === undefined) throw bad(`Origin '${name}' has a clientCertificate, but no clientKey.`)
  if (key !== undefined) checkKey(name, clientCertificate, key)
  return { ...rest, name, url: url.href, clientKey: key === undefined ? known! : seal.seal(key) }
}

const onlyTls = [
  'sniHostname',
  'certificateHostname',
  'checkCertificate',
  'caCertificate',
  'clientCertificate',
  'clientKey',
  'minTlsVersion',
  'maxTlsVersion',
  'ciphers',
] as const

function checkTls(name: string, url: URL, wish: OriginWish): void {
  const first = onlyTls.find((setting) => wish[setting] !== undefined)
  if (url.protocol === 'http:' && first !== undefined)
    throw bad(`Origin '${name}' has '${first}', which is for https:// only.`)
  const { minTlsVersion = '1.0', maxTlsVersion = '1.3' } = wish
  if (tlsVersions.indexOf(minTlsVersion) > tlsVersions.indexOf(maxTlsVersion))
    throw bad(`Origin '${name}' has a minTlsVersion above its maxTlsVersion.`)
}

function checkKey(name: string, certificate: string, pem: string): void {
  let fits: boolean
  try {
    fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(pem))
  } catch {
    throw bad(`The clientKey of origin '${name}' is not a private key in PEM without a password.`)
  }
  if (!fits) throw bad(`The clientKey of origin '${name}' does not belong to its clientCertificate.`)
}

export interface PoolParts {
  readonly origins: readonly Origin[]
  readonly choice?: OriginChoice | undefined
  readonly quorum?: number | undefined
  readonly healthCheck?: HealthCheck | undefined
}

/** Throws a `Refusal` (`bad_address`). Choice is by weight where nothing is said, as at Fastly. */
export function toPool({ origins, choice = 'weighted-random', quorum, healthCheck }: PoolParts): OriginPool {
  if (quorum !== undefined && choice === 'fallback')
    throw bad("A quorum has no meaning with the choice 'fallback': one healthy origin is enough.")
  return {
    origins,
    choice,
    ...(quorum !== undefined && { quorum }),
    ...(healthCheck !== undefined && { healthCheck }),
  }
}

/** How many origins of the pool are checked. */
export function countChecks({ origins, healthCheck }: OriginPool): number {
  return origins.filter((origin) => (origin.healthCheck ?? healthCheck) !== undefined).length
}
