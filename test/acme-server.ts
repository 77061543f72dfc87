/**
 * A small ACME authority (RFC 8555) for tests: nonces, signed requests, accounts with external binding, orders, HTTP-01
 * validation by really asking, certificates signed by a root of its own. Everything is held in memory.
 */
import { createHash, randomBytes, webcrypto } from 'node:crypto'
import { createServer, get, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  calculateJwkThumbprint,
  decodeProtectedHeader,
  type FlattenedJWS,
  flattenedVerify,
  importJWK,
  type JWK,
} from 'jose'
import * as x509 from '#/core/x509.ts'

export interface AcmeServerOptions {
  /** Where challenges are asked for, on 127.0.0.1, in place of port 80. */
  readonly challengePort: () => number
  /** Milliseconds since 1970. */
  readonly clock: () => number
  readonly certificateLifeMs: number
  /** Key id and base64url HMAC key of the only customer; new accounts must be bound to it. */
  readonly externalAccount?: { readonly keyId: string; readonly hmacKey: string }
  /** Every n-th request is refused with badNonce, as a busy authority does. */
  readonly badNonceEvery?: number
}

export interface AcmeServer {
  readonly directoryUrl: string
  /** What happened, for assertions: `account`, `order NAME`, `valid NAME`, `invalid NAME`, `certificate NAME`. */
  readonly events: string[]
  /** New orders are refused with this reason while it is set. */
  refuseOrders: string | undefined
  close(): void
}

interface Account {
  readonly url: string
  readonly jwk: JWK
}

interface Order {
  readonly name: string
  readonly account: Account
  readonly token: string
  challenge: 'pending' | 'processing' | 'valid' | 'invalid'
  problem?: { type: string; detail: string; status: number }
  certificate?: string
}

class Problem extends Error {
  readonly status: number
  readonly kind: string

  constructor(status: number, kind: string, detail: string) {
    super(detail)
    this.status = status
    this.kind = kind
  }
}

interface Verified {
  readonly url: string
  readonly jwk: JWK
  readonly account: Account | undefined
  /** `undefined` for POST-as-GET (RFC 8555 §6.3). */
  readonly payload: Record<string, unknown> | undefined
}

const signing = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

export async function startAcmeServer(options: AcmeServerOptions): Promise<AcmeServer> {
  const nonces = new Set<string>()
  const accounts = new Map<string, Account>()
  const orders: Order[] = []
  const events: string[] = []
  const root = await makeRoot(options.clock())
  let requests = 0
  let base = ''

  const server = createServer((incoming, outgoing) => {
    answer(incoming, outgoing).catch((error) => {
      const { status, kind } = error instanceof Problem ? error : { status: 500, kind: 'serverInternal' }
      sendProblem(outgoing, status, kind, (error as Error).message)
    })
  })
  const state: AcmeServer = { directoryUrl: '', events, refuseOrders: undefined, close: () => void server.close() }

  function freshNonce(): string {
    const nonce = randomBytes(16).toString('base64url')
    nonces.add(nonce)
    return nonce
  }

  function sendProblem(outgoing: ServerResponse, status: number, kind: string, detail: string): void {
    outgoing.writeHead(status, { 'content-type': 'application/problem+json', 'replay-nonce': freshNonce() })
    outgoing.end(JSON.stringify({ type: `urn:ietf:params:acme:error:${kind}`, detail, status }))
  }

  function send(outgoing: ServerResponse, status: number, body: object | string, headers: Record<string, string> = {}) {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    const type = typeof body === 'string' ? 'application/pem-certificate-chain' : 'application/json'
    outgoing.writeHead(status, { 'content-type': type, 'replay-nonce': freshNonce(), ...headers }).end(text)
  }

  /** RFC 8555 §6.2 to §6.5: the signature, the URL in it, and a nonce that is used once. */
  async function verify(incoming: IncomingMessage): Promise<Verified> {
    if (incoming.headers['content-type'] !== 'application/jose+json')
      throw new Problem(415, 'malformed', 'content type')
    const jws = JSON.parse(await bodyOf(incoming)) as FlattenedJWS
    const header = decodeProtectedHeader(jws) as { alg: string; nonce: string; url: string; jwk?: JWK; kid?: string }
    if (header.url !== base + incoming.url) throw new Problem(401, 'unauthorized', `url ${header.url}`)
    if ((header.jwk === undefined) === (header.kid === undefined)) throw new Problem(400, 'malformed', 'jwk or kid')
    const account = header.kid === undefined ? undefined : accounts.get(header.kid)
    const jwk = header.jwk ?? account?.jwk
    if (jwk === undefined) throw new Problem(400, 'accountDoesNotExist', `no account ${header.kid}`)
    const verified = await flattenedVerify(jws, await importJWK(jwk, header.alg)).catch(() => undefined)
    if (verified === undefined) throw new Problem(401, 'unauthorized', 'signature')
    const fresh = nonces.delete(header.nonce)
    requests++
    if (!fresh || requests % (options.badNonceEvery ?? Number.POSITIVE_INFINITY) === 0)
      throw new Problem(400, 'badNonce', 'the nonce is not fresh')
    const text = Buffer.from(verified.payload).toString()
    return { url: header.url, jwk, account, payload: text === '' ? undefined : JSON.parse(text) }
  }

  async function newAccount({ jwk, payload, url }: Verified, outgoing: ServerResponse): Promise<void> {
    const id = `${base}/account/${await calculateJwkThumbprint(jwk)}`
    const known = accounts.get(id)
    if (known === undefined) {
      if (payload?.termsOfServiceAgreed !== true) throw new Problem(403, 'userActionRequired', 'agree to the terms')
      await checkBinding(payload, jwk, url)
      accounts.set(id, { url: id, jwk })
      events.push('account')
    }
    send(outgoing, known === undefined ? 201 : 200, { status: 'valid' }, { location: id })
  }

  /** RFC 8555 §7.3.4. */
  async function checkBinding(payload: Record<string, unknown>, jwk: JWK, url: string): Promise<void> {
    const wanted = options.externalAccount
    if (wanted === undefined) return
    const binding = payload.externalAccountBinding as FlattenedJWS | undefined
    if (binding === undefined) throw new Problem(403, 'externalAccountRequired', 'an external account is required')
    const header = decodeProtectedHeader(binding) as { kid: string; url: string }
    const verified = await flattenedVerify(binding, Buffer.from(wanted.hmacKey, 'base64url')).catch(() => undefined)
    const bound = verified && (JSON.parse(Buffer.from(verified.payload).toString()) as JWK)
    const same = bound && (await calculateJwkThumbprint(bound)) === (await calculateJwkThumbprint(jwk))
    if (!same || header.kid !== wanted.keyId || header.url !== url)
      throw new Problem(403, 'unauthorized', 'the external account binding does not verify')
  }

  function newOrder({ payload, account }: Verified, outgoing: ServerResponse): void {
    if (account === undefined) throw new Problem(401, 'unauthorized', 'an account is needed')
    if (state.refuseOrders !== undefined) throw new Problem(403, 'rateLimited', state.refuseOrders)
    const [identifier, more] = (payload?.identifiers ?? []) as { type: string; value: string }[]
    if (identifier?.type !== 'dns' || more !== undefined) throw new Problem(400, 'malformed', 'one dns identifier')
    const token = randomBytes(24).toString('base64url')
    orders.push({ name: identifier.value, account, token, challenge: 'pending' })
    events.push(`order ${identifier.value}`)
    send(outgoing, 201, orderBody(orders.length - 1), { location: `${base}/order/${orders.length - 1}` })
  }

  function orderBody(id: number): object {
    const { name, challenge, certificate } = orders[id]!
    const open = challenge === 'valid' ? 'ready' : challenge === 'invalid' ? 'invalid' : 'pending'
    return {
      status: certificate === undefined ? open : 'valid',
      identifiers: [{ type: 'dns', value: name }],
      authorizations: [`${base}/authz/${id}`],
      finalize: `${base}/finalize/${id}`,
      ...(certificate === undefined ? {} : { certificate: `${base}/cert/${id}` }),
    }
  }

  function challengeBody(id: number): object {
    const { token, challenge, problem } = orders[id]!
    return {
      type: 'http-01',
      url: `${base}/challenge/${id}`,
      token,
      status: challenge,
      ...(problem && { error: problem }),
    }
  }

  function authorizationBody(id: number): object {
    const { name, challenge } = orders[id]!
    const status = challenge === 'processing' ? 'pending' : challenge
    return { status, identifier: { type: 'dns', value: name }, challenges: [challengeBody(id)] }
  }

  /** RFC 8555 §8.3: asks the host for the key authorization. */
  async function validate(order: Order): Promise<void> {
    const expected = `${order.token}.${await calculateJwkThumbprint(order.account.jwk)}`
    const path = `/.well-known/acme-challenge/${order.token}`
    const got = await ask(options.challengePort(), order.name, path).catch((error: Error) => error.message)
    order.challenge = got === expected ? 'valid' : 'invalid'
    if (order.challenge === 'invalid')
      order.problem = {
        type: 'urn:ietf:params:acme:error:unauthorized',
        detail: `got ${got.slice(0, 80)}`,
        status: 403,
      }
    events.push(`${order.challenge} ${order.name}`)
  }

  async function finalize(id: number, { payload }: Verified, outgoing: ServerResponse): Promise<void> {
    const order = orders[id]!
    if (order.challenge !== 'valid') throw new Problem(403, 'orderNotReady', `the challenge is ${order.challenge}`)
    const request = new x509.Pkcs10CertificateRequest(Buffer.from(payload?.csr as string, 'base64url'))
    if (!(await request.verify())) throw new Problem(400, 'badCSR', 'the request is not signed by its key')
    const extension = request.getExtension('2.5.29.17') as x509.SubjectAlternativeNameExtension | null
    const names = extension?.names.items.map(({ value }) => value) ?? []
    if (names.length !== 1 || names[0] !== order.name) throw new Problem(400, 'badCSR', `names ${names}`)
    order.certificate = await root.sign(order.name, request, options.clock(), options.certificateLifeMs)
    events.push(`certificate ${order.name}`)
    send(outgoing, 200, orderBody(id), { location: `${base}/order/${id}` })
  }

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const path = incoming.url!
    if (path === '/directory') return send(outgoing, 200, directory(base, options.externalAccount !== undefined))
    if (path === '/new-nonce') {
      outgoing.writeHead(incoming.method === 'HEAD' ? 200 : 204, { 'replay-nonce': freshNonce() }).end()
      return
    }
    const verified = await verify(incoming)
    if (path === '/new-account') return newAccount(verified, outgoing)
    if (path === '/new-order') return newOrder(verified, outgoing)
    const [, kind, digits] = /^\/(order|authz|challenge|finalize|cert)\/(\d+)$/.exec(path) ?? []
    const id = Number(digits)
    const order = orders[id]
    if (order === undefined || order.account !== verified.account) throw new Problem(404, 'malformed', path)
    if (kind === 'finalize') return finalize(id, verified, outgoing)
    if (kind === 'order') return send(outgoing, 200, orderBody(id))
    if (kind === 'authz') return send(outgoing, 200, authorizationBody(id))
    if (kind === 'cert') return send(outgoing, 200, order.certificate!)
    if (verified.payload !== undefined && order.challenge === 'pending') {
      order.challenge = 'processing'
      void validate(order)
    }
    send(outgoing, 200, challengeBody(id), { link: `<${base}/authz/${id}>;rel="up"` })
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return Object.assign(state, { directoryUrl: `${base}/directory` })
}

function directory(base: string, externalAccountRequired: boolean): object {
  return {
    newNonce: `${base}/new-nonce`,
    newAccount: `${base}/new-account`,
    newOrder: `${base}/new-order`,
    revokeCert: `${base}/revoke`,
    keyChange: `${base}/key-change`,
    meta: { termsOfService: `${base}/terms`, externalAccountRequired },
  }
}

async function makeRoot(now: number) {
  const keys = await webcrypto.subtle.generateKey(signing, true, ['sign', 'verify'])
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=Test authority',
    notBefore: new Date(now - 86_400_000),
    notAfter: new Date(now + 3650 * 86_400_000),
    keys,
    signingAlgorithm: signing,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  })
  return {
    async sign(name: string, request: x509.Pkcs10CertificateRequest, from: number, life: number): Promise<string> {
      const leaf = await x509.X509CertificateGenerator.create({
        serialNumber: createHash('sha256').update(`${name} ${from}`).digest('hex').slice(0, 30),
        subject: `CN=${name}`,
        issuer: certificate.subject,
        notBefore: new Date(from),
        notAfter: new Date(from + life),
        publicKey: await request.publicKey.export(),
        signingKey: keys.privateKey,
        signingAlgorithm: signing,
        extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }])],
      })
      return `${leaf.toString('pem')}\n${certificate.toString('pem')}\n`
    },
  }
}

function ask(port: number, host: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, path, headers: { host } }, (incoming) => {
      bodyOf(incoming).then((text) => (incoming.statusCode === 200 ? resolve(text) : reject(new Error(text))), reject)
    }).on('error', reject)
  })
}

async function bodyOf(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
