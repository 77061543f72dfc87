/**
 * Certificates from ACME, ordered and renewed in the background. Settings, account and the outcome of each attempt lie
 * in the fabric; one point of presence orders at a time. Whatever fails here is seen in `status` and in nothing else.
 */
import type { Limits } from '#/core/limits.ts'
import type { Bucket, Fabric, Lease, Seal } from '#/core/ports.ts'
import type { Sealed } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import type { AcmeClient, Challenges } from './acme-order.ts'
import { type AcmeFailure, nextAcmeAttempt, type Polling } from './acme-plan.ts'
import { type AcmeSettings, checkAcmeSettings } from './acme-settings.ts'
import type { CertificateStore } from './certificate-store.ts'
import { readCertificate } from './read-certificate.ts'

export interface AcmeHostStatus {
  readonly hostname: string
  readonly state: 'waiting' | 'valid' | 'failing' | 'expired'
  readonly notAfter?: EpochMs
  readonly nextAttemptAt: EpochMs
  readonly failure?: AcmeFailure
}

export interface AcmeStatus {
  readonly directoryUrl: string
  readonly email: string
  readonly hostnames: readonly AcmeHostStatus[]
}

export interface Acme {
  configure(settings: AcmeSettings): Promise<void>
  /** Ends renewals; certificates stay. Returns whether there were settings. */
  disable(): Promise<boolean>
  status(): Promise<AcmeStatus | undefined>
  challenge(host: string, token: string): Promise<string | undefined>
  /** Orders what is due now. Never rejects. Calls while one is under way share it. */
  renewDue(): Promise<void>
}

export interface AcmeLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

export interface AcmeOptions {
  readonly fabric: Fabric
  readonly seal: Seal
  readonly store: CertificateStore
  readonly limits: Limits
  readonly clock: Clock
  readonly log: AcmeLog
  readonly polling: Polling
  /** May this process have the key for a host? */
  readonly mayOrder: (hostname: string) => boolean
}

interface StoredSettings extends Omit<AcmeSettings, 'externalAccount'> {
  readonly externalAccount?: { readonly keyId: string; readonly hmacKey: Sealed }
}

interface StoredAccount {
  readonly directoryUrl: string
  readonly key: Sealed
  readonly url?: string
}

/** Longer than one order may take; renewed before each. */
const leaseMs = 300_000
const challengeMs = 3_600_000

export function createAcme(options: AcmeOptions): Acme {
  const { fabric, seal, store, limits, clock, log } = options
  const bucket = fabric.bucket('acme')
  const answers = fabric.bucket('acme-challenges')
  let renewing: Promise<void> | undefined

  const challenges: Challenges = {
    async open(host, token, keyAuthorization) {
      await answers.put(`${host} ${token}`, Buffer.from(keyAuthorization), { expiresAt: clock() + challengeMs })
    },
    async close(host, token) {
      await answers.delete(`${host} ${token}`)
    },
  }

  async function readSettings(): Promise<AcmeSettings | undefined> {
    const stored = await readJson<StoredSettings>(bucket, 'settings')
    if (stored === undefined) return undefined
    const { externalAccount: account, ...settings } = stored
    if (account === undefined) return settings
    return { ...settings, externalAccount: { keyId: account.keyId, hmacKey: seal.open(account.hmacKey) } }
  }

  async function statusOf(hostname: string): Promise<AcmeHostStatus> {
    const held = store.get(recordId(hostname))
    const failure = await readJson<AcmeFailure>(bucket, `failure ${hostname}`)
    const expired = held !== undefined && held.notAfter <= clock()
    return {
      hostname,
      state: failure !== undefined ? 'failing' : held === undefined ? 'waiting' : expired ? 'expired' : 'valid',
      nextAttemptAt: nextAcmeAttempt(hostname, held, failure),
      ...(held === undefined ? {} : { notAfter: held.notAfter }),
      ...(failure === undefined ? {} : { failure }),
    }
  }

  async function dueNow(settings: AcmeSettings): Promise<readonly string[]> {
    const all = await Promise.all(settings.hostnames.map(statusOf))
    const due = all.filter(({ nextAttemptAt }) => nextAttemptAt <= clock()).map(({ hostname }) => hostname)
    return due.filter(options.mayOrder)
  }

  /** A key for each authority, sealed; an account is registered once. */
  async function openAccount(settings: AcmeSettings): Promise<AcmeClient> {
    // The library takes a tenth of a node's start, and few nodes order anything: it is loaded with the first order.
    const { createAccountKey, createAcmeClient } = await import('./acme-order.ts')
    const { directoryUrl } = settings
    const kept = await readJson<StoredAccount>(bucket, 'account')
    const known = kept?.directoryUrl === directoryUrl ? kept : undefined
    const key = known === undefined ? await createAccountKey() : seal.open(known.key)
    const client = createAcmeClient(settings, { key, ...(known?.url ? { url: known.url } : {}) }, options.polling)
    if (known?.url !== undefined) return client
    const account: StoredAccount = { directoryUrl, key: seal.seal(key) }
    // Kept before it is used: an account whose answer was lost is found again by its key.
    await writeJson(bucket, 'account', account)
    await writeJson(bucket, 'account', { ...account, url: await client.register() })
    return client
  }

  async function orderOne(client: AcmeClient, hostname: string): Promise<void> {
    const certificate = await within(limits.acmeOrderMs, client.order(hostname, challenges))
    const facts = readCertificate(certificate, clock(), limits)
    if (!facts.names.includes(hostname)) throw new Error(`The certificate names ${facts.names.join(', ')} instead.`)
    await store.save(recordId(hostname), 'acme', facts, certificate)
    await bucket.delete(`failure ${hostname}`)
    log.info({ hostname, notAfter: new Date(facts.notAfter).toISOString() }, 'certificate received')
  }

  async function recordFailure(hostname: string, error: unknown): Promise<void> {
    const before = await readJson<AcmeFailure>(bucket, `failure ${hostname}`)
    const reason = (error as Error).message || String(error)
    const failure: AcmeFailure = { attempts: (before?.attempts ?? 0) + 1, at: clock(), reason: reason.slice(0, 1000) }
    await writeJson(bucket, `failure ${hostname}`, failure)
    log.warn({ hostname, attempts: failure.attempts, reason }, 'certificate not received')
  }

  async function orderAll(settings: AcmeSettings, lease: Lease): Promise<void> {
    let account: Promise<AcmeClient> | undefined
    // Asked again under the lease: another point of presence may have ordered meanwhile.
    for (const hostname of await dueNow(settings)) {
      if (!(await lease.renew())) return
      account ??= within(limits.acmeOrderMs, openAccount(settings))
      await account.then((client) => orderOne(client, hostname)).catch((error) => recordFailure(hostname, error))
    }
  }

  async function renew(): Promise<void> {
    const settings = await readSettings()
    if (settings === undefined || (await dueNow(settings)).length === 0) return
    const lease = await fabric.lease('acme', leaseMs)
    if (lease === undefined) return
    try {
      await orderAll(settings, lease)
    } finally {
      await lease.release()
    }
  }

  return {
    async configure(settings) {
      const { externalAccount: account, ...checked } = checkAcmeSettings(settings, limits)
      const stored: StoredSettings = account
        ? { ...checked, externalAccount: { keyId: account.keyId, hmacKey: seal.seal(account.hmacKey) } }
        : checked
      await writeJson(bucket, 'settings', stored)
      // What failed under other settings is tried at once under these.
      for (const { key } of await bucket.list({ prefix: 'failure ', limit: limits.acmeHostnames }))
        await bucket.delete(key)
    },
    disable: () => bucket.delete('settings'),
    async status() {
      const settings = await readSettings()
      if (settings === undefined) return undefined
      const { directoryUrl, email } = settings
      return { directoryUrl, email, hostnames: await Promise.all(settings.hostnames.map(statusOf)) }
    },
    async challenge(host, token) {
      // RFC 8555 §8.3: base64url, and nothing else is looked for.
      if (!/^[A-Za-z0-9_-]{1,256}$/.test(token) || host.length > 253) return undefined
      const entry = await answers.get(`${host.toLowerCase()} ${token}`)
      return entry && Buffer.from(entry.value).toString()
    },
    renewDue() {
      renewing ??= renew()
        .catch((error) => log.warn({ reason: (error as Error).message }, 'certificates were not renewed'))
        .finally(() => {
          renewing = undefined
        })
      return renewing
    },
  }
}

function recordId(hostname: string): string {
  return `acme-${hostname}`
}

async function readJson<T>(bucket: Bucket, key: string): Promise<T | undefined> {
  const entry = await bucket.get(key)
  return entry && (JSON.parse(Buffer.from(entry.value).toString()) as T)
}

async function writeJson(bucket: Bucket, key: string, value: object): Promise<void> {
  await bucket.put(key, Buffer.from(JSON.stringify(value)))
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`The authority did not finish within ${ms / 1000} s.`)), ms)
    timer.unref()
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
