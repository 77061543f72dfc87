/** One certificate from an ACME authority: account, order, HTTP-01 challenges, finalization (RFC 8555 §7). */
import acme from 'acme-client'
import type { Certificate } from '#/core/certificates.ts'
import type { Polling } from './acme-plan.ts'
import type { AcmeSettings } from './acme-settings.ts'

export interface AcmeAccount {
  /** PEM. */
  readonly key: string
  /** Known once the authority has made the account. */
  readonly url?: string
}

export interface Challenges {
  open(host: string, token: string, keyAuthorization: string): Promise<void>
  close(host: string, token: string): Promise<void>
}

export interface AcmeClient {
  /** Makes the account, or finds the one that has this key already. Returns its URL. */
  register(): Promise<string>
  order(hostname: string, challenges: Challenges): Promise<Certificate>
}

/** Longest wait for one answer of the authority. */
const answerMs = 30_000

/**
 * The library sends a request that failed five times again, within 75 s; here the plan decides when to try again, so
 * that a failure is seen at once and nothing is under way that nobody waits for.
 */
const settingsOfLibrary: { timeout?: number; acmeSettings?: { retryMaxAttempts: number } } = acme.axios.defaults
settingsOfLibrary.timeout = answerMs
Object.assign(settingsOfLibrary.acmeSettings ?? {}, { retryMaxAttempts: 0 })

export async function createAccountKey(): Promise<string> {
  return (await acme.crypto.createPrivateEcdsaKey('P-256')).toString()
}

export function createAcmeClient(settings: AcmeSettings, account: AcmeAccount, polling: Polling): AcmeClient {
  const { directoryUrl, email, externalAccount } = settings
  const client = new acme.Client({
    directoryUrl,
    accountKey: account.key,
    backoffAttempts: polling.attempts,
    backoffMin: polling.firstPauseMs,
    backoffMax: polling.longestPauseMs,
    ...(account.url === undefined ? {} : { accountUrl: account.url }),
    ...(externalAccount === undefined
      ? {}
      : { externalAccountBinding: { kid: externalAccount.keyId, hmacKey: externalAccount.hmacKey } }),
  })
  return {
    register: () => sayUnreachable(directoryUrl, register()),
    order: (hostname, challenges) => sayUnreachable(directoryUrl, order(hostname, challenges)),
  }

  async function register(): Promise<string> {
    if (account.url === undefined)
      await client.createAccount({ termsOfServiceAgreed: settings.termsAgreed, contact: [`mailto:${email}`] })
    return client.getAccountUrl()
  }

  async function order(hostname: string, challenges: Challenges): Promise<Certificate> {
    const placed = await client.createOrder({ identifiers: [{ type: 'dns', value: hostname }] })
    for (const authorization of await client.getAuthorizations(placed))
      if (authorization.status !== 'valid') await answerChallenge(client, hostname, authorization, challenges)
    const [key, request] = await acme.crypto.createCsr(
      { altNames: [hostname] },
      await acme.crypto.createPrivateEcdsaKey('P-256'),
    )
    const finalized = await client.finalizeOrder(placed, request)
    return { chain: await client.getCertificate(finalized), key: key.toString() }
  }
}

/** The library stumbles over an answer that never came: a TypeError instead of the connection's error. */
async function sayUnreachable<T>(directoryUrl: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    throw new Error(`The authority at ${new URL(directoryUrl).host} does not answer.`, { cause: error })
  }
}

/** RFC 8555 §8.3: any point of presence may be asked, so the answer lies where all of them look. */
async function answerChallenge(
  client: acme.Client,
  hostname: string,
  authorization: acme.Authorization,
  challenges: Challenges,
): Promise<void> {
  const challenge = authorization.challenges.find(({ type }) => type === 'http-01')
  if (challenge === undefined) throw new Error(`The authority offers no HTTP-01 challenge for ${hostname}.`)
  await challenges.open(hostname, challenge.token, await client.getChallengeKeyAuthorization(challenge))
  try {
    await client.completeChallenge(challenge)
    await client.waitForValidStatus(challenge)
  } finally {
    await challenges.close(hostname, challenge.token)
  }
}
