/** A new machine becomes part of a platform, or founds it where there is none. */
import { createPrivateKey, createPublicKey, randomBytes, sign, verify, X509Certificate } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { CountryCode, NodeId, Place, PopId } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { secretCheck } from '#/http/same-secret.ts'
import { fingerprintOf, openMeshAuthority, readMeshAuthority } from './authority.ts'
import { describeSkew, skewOf } from './hello.ts'
import { obtainKey, readIdentity, writeIdentity } from './identity.ts'
import {
  answerTopic,
  decode,
  encode,
  type JoinAccepted,
  type JoinAnswer,
  type JoinGift,
  type JoinProof,
  type JoinRequest,
  type JoinWish,
  joinTopic,
  signedAnswer,
} from './join-messages.ts'
import { openSealed, proofOf, stretchToken } from './join-sealing.ts'
import { type JoinToken, readJoinToken } from './join-token.ts'
import { reserveName } from './name-node.ts'
import { isPlace } from './node-name.ts'

export interface JoinOptions {
  /** The node's `mesh/`. */
  readonly folder: string
  readonly fabric: Pick<Fabric, 'bucket' | 'publish' | 'subscribe'>
  readonly pop: PopId
  readonly country: CountryCode
  /** Wanted name; absent: the PoP's, or one made of it. */
  readonly node?: NodeId
  /** As `rimward invite` printed it. */
  readonly invite?: string
  /** The administrator's token, where the operator set it here: it is proven, never sent. */
  readonly token?: string
  /** This machine's own seal; called where the platform is founded. */
  readonly openSeal: () => Promise<Seal>
  /** Called before anything of the join is on disk, with what `secretsFor` of the other side gave. Must be durable. */
  readonly keepSecrets: (secrets: string) => Promise<void>
  readonly limits: Pick<Limits, 'joinMs' | 'meshSkewMs' | 'nodeCertificateSeconds'>
  readonly clock: Clock
}

export interface Joined {
  readonly place: Place
  /** `member`: it was part of the platform before. */
  readonly how: 'founded' | 'joined' | 'member'
  readonly invitedBy?: NodeId
}

/** Between two tries to be heard. */
const againMs = 1_000

/** After this `openMesh` may be called with the place. Rejects with the reason, and then nothing has changed here or there. */
export async function joinPlatform(options: JoinOptions): Promise<Joined> {
  const { folder, fabric, pop, country, node } = options
  if (!isPlace({ node: node ?? pop, pop, country }))
    throw new EdgeError('bad_request', `${pop}:${country} is no name of a PoP and country, such as fra:DE.`)
  const before = await readIdentity(folder)
  // Whether this place and this platform are the right ones, `openMesh` says.
  if (before !== undefined) return { place: { ...before.place, pop, country }, how: 'member' }
  const token = options.invite === undefined ? undefined : readJoinToken(options.invite)
  const platform = await readMeshAuthority(fabric)
  if (platform === undefined) {
    if (token !== undefined)
      throw new EdgeError('bad_request', 'The invitation is for another platform: this one is empty.')
    const founded = await found(options)
    if (founded !== undefined) return { place: founded, how: 'founded' }
  }
  if (token !== undefined) checkPlatform(token, platform ?? '')
  return ask(options, token)
}

/** `undefined` when another machine founded it meanwhile. */
async function found(options: JoinOptions): Promise<Place | undefined> {
  const { folder, fabric, pop, country, node, openSeal, clock, limits } = options
  const authority = await openMeshAuthority({ fabric, seal: await openSeal(), clock, limits }).catch((error) => {
    if (error instanceof EdgeError && error.code === 'fabric_away') throw error
    return undefined
  })
  if (authority === undefined) return undefined
  const key = await obtainKey(folder)
  const publicKey = createPublicKey(key)
  const wish = { pop, fingerprint: fingerprintOf(publicKey), isAlive: () => false, ...(node !== undefined && { node }) }
  const place = { node: await reserveName({ fabric, clock }, wish), pop, country }
  const certificate = await authority.issue(place, publicKey)
  await writeIdentity(folder, { key, certificate, authority: authority.certificate })
  return place
}

async function ask(options: JoinOptions, token: JoinToken | undefined): Promise<Joined> {
  const { folder, pop, country, node, clock, limits, keepSecrets } = options
  const key = await obtainKey(folder)
  const wish: JoinWish = {
    id: randomBytes(16).toString('hex'),
    publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }).toString('base64'),
    pop,
    country,
    ...(node !== undefined && { node }),
    now: clock(),
  }
  const text = JSON.stringify(wish)
  const stretched = token === undefined && options.token ? await stretchToken(options.token, wish.id) : undefined
  const answer = await exchange(options, wish.id, {
    wish: text,
    signature: sign('sha256', Buffer.from(text), createPrivateKey(key)).toString('base64'),
    proof: proofFor(text, token, stretched),
  })
  const skew = skewOf(answer.now, wish.now, clock())
  const clocks = `The clock of this machine is ${describeSkew(-skew)} that of the node ${answer.by}.`
  const hint = Math.abs(skew) > limits.meshSkewMs ? ` ${clocks}` : ''
  if ('refused' in answer) throw new EdgeError('bad_request', `${answer.refused}${hint}`)
  const gift = openAnswer(answer, key, wish.id)
  if (token !== undefined) checkPlatform(token, gift.authority)
  if (stretched !== undefined) checkMac(stretched, answer)
  await keepSecrets(gift.secrets)
  await writeIdentity(folder, { key, certificate: gift.certificate, authority: gift.authority })
  return { place: gift.place, how: 'joined', invitedBy: answer.by }
}

function proofFor(text: string, token: JoinToken | undefined, stretched: Buffer | undefined): JoinProof {
  const signed = Buffer.from(text)
  if (token !== undefined)
    return { kind: 'invite', invite: token.id, signature: sign(null, signed, token.privateKey).toString('base64') }
  return stretched === undefined ? { kind: 'open' } : { kind: 'token', mac: proofOf(stretched, 'request', signed) }
}

/** Asks again until somebody answers: messages of the fabric may get lost. */
function exchange(options: JoinOptions, id: string, request: JoinRequest): Promise<JoinAnswer> {
  const { fabric, limits } = options
  const { promise, resolve, reject } = Promise.withResolvers<JoinAnswer>()
  const end = fabric.subscribe(answerTopic(id), (message) => {
    const answer = decode<JoinAnswer>(message)
    if (answer !== undefined) resolve(answer)
  })
  const say = () => fabric.publish(joinTopic, encode(request))
  const again = setInterval(say, againMs)
  const late = setTimeout(() => {
    const seconds = Math.round(limits.joinMs / 1000)
    reject(new EdgeError('peer_away', `No node of the platform answered within ${seconds} s. Is one running?`))
  }, limits.joinMs)
  say()
  return promise.finally(() => {
    end()
    clearInterval(again)
    clearTimeout(late)
  })
}

function openAnswer(answer: JoinAccepted, key: string, id: string): JoinGift {
  const sealed = Buffer.from(answer.sealed, 'base64')
  let gift: JoinGift
  try {
    gift = JSON.parse(openSealed(key, sealed, id)) as JoinGift
  } catch (cause) {
    throw new EdgeError('bad_request', 'The answer to the request to join is not for this machine.', { cause })
  }
  const { publicKey } = new X509Certificate(gift.authority)
  if (verify('sha256', signedAnswer(id, sealed), publicKey, Buffer.from(answer.signature, 'base64'))) return gift
  throw new EdgeError('bad_request', 'The answer to the request to join is not signed by the authority that it names.')
}

function checkMac(key: Buffer, answer: JoinAccepted): void {
  const wanted = proofOf(key, 'answer', Buffer.from(answer.sealed, 'base64'))
  if (secretCheck(wanted)(answer.mac)) return
  throw new EdgeError('bad_request', 'Who answered the request to join does not have the token of this platform.')
}

function checkPlatform(token: JoinToken, authority: string): void {
  const is = authority === '' ? '' : fingerprintOf(new X509Certificate(authority).publicKey)
  if (is.startsWith(token.fingerprint)) return
  throw new EdgeError('bad_request', 'The invitation is for another platform than the one that was reached.')
}
