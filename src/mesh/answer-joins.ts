/** Lets newcomers in: any node that holds the authority may answer, and of those that hear a request one does. */
import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { NodeId, Place } from '#/core/pops.ts'
import type { Fabric, Seal } from '#/core/ports.ts'
import type { Clock } from '#/core/units.ts'
import { secretCheck } from '#/http/same-secret.ts'
import { fingerprintOf, type MeshAuthority, openMeshAuthority } from './authority.ts'
import { spendInvite } from './invites.ts'
import {
  answerTopic,
  decode,
  encode,
  type JoinAnswer,
  type JoinGift,
  type JoinRequest,
  type JoinWish,
  joinTopic,
  signedAnswer,
} from './join-messages.ts'
import { proofOf, sealFor, stretchToken } from './join-sealing.ts'
import { reserveName } from './name-node.ts'
import { isPlace } from './node-name.ts'

export interface AnswerJoinsOptions {
  readonly fabric: Pick<Fabric, 'bucket' | 'publish' | 'subscribe'>
  readonly seal: Seal
  /** Who answers. */
  readonly self: NodeId
  /** What a node of this place must hold, such as the keys of its country. */
  readonly secretsFor: (place: Place) => Promise<string>
  /** The administrator's: who proves to have it comes in without an invitation. */
  readonly token: string
  /** Everybody who reaches the fabric comes in: a trial on one machine. */
  readonly open: boolean
  readonly isAlive: (node: NodeId) => boolean
  readonly limits: Pick<Limits, 'inviteSeconds' | 'invites' | 'joinQueue' | 'nodeCertificateSeconds'>
  readonly clock: Clock
  readonly log: (message: string, facts?: object) => void
}

/** A claim on a request outlives every newcomer's patience. */
const claimMs = 600_000

/** Returns how to end it. */
export function answerJoins(options: AnswerJoinsOptions): () => void {
  const { fabric, limits, log } = options
  const answered = new Map<string, JoinAnswer>()
  let waiting = 0
  let line = Promise.resolve()

  async function take(request: JoinRequest, wish: JoinWish): Promise<void> {
    const known = answered.get(wish.id)
    const answer = known ?? (await answerOnce(options, request, wish))
    if (answer === undefined) return
    answered.set(wish.id, answer)
    if (answered.size > limits.joinQueue) answered.delete(answered.keys().next().value!)
    fabric.publish(answerTopic(wish.id), encode(answer))
  }

  return fabric.subscribe(joinTopic, (message) => {
    const request = decode<JoinRequest>(message)
    const wish = request && decode<JoinWish>(Buffer.from(String(request.wish)))
    if (request === undefined || wish === undefined || !/^[0-9a-f]{32}$/.test(String(wish.id))) return
    if (waiting >= limits.joinQueue) return
    waiting++
    line = line
      .then(() => take(request, wish))
      .catch((error: unknown) => log('a join could not be answered', { error: String(error) }))
      .finally(() => void waiting--)
  })
}

/** `undefined` when another node answers. */
async function answerOnce(
  options: AnswerJoinsOptions,
  request: JoinRequest,
  wish: JoinWish,
): Promise<JoinAnswer | undefined> {
  const { fabric, self, clock, log } = options
  const said = { by: self, now: clock() }
  const claim = { expect: 0, expiresAt: clock() + claimMs }
  if ((await fabric.bucket('joins').put(wish.id, Buffer.from(self), claim)) === undefined) return undefined
  try {
    const authority = await openMeshAuthority(options)
    const { sealed, place, mac } = await letIn(options, authority, request, wish)
    log(`the node ${place.node} joins`, { ...place, proof: request.proof.kind })
    const signature = authority.sign(signedAnswer(wish.id, sealed)).toString('base64')
    return { sealed: sealed.toString('base64'), signature, ...(mac !== undefined && { mac }), ...said }
  } catch (error) {
    if (!(error instanceof EdgeError)) log('a join failed', { error })
    const why = error instanceof EdgeError ? error.message : 'An unexpected error happened at the node that answered.'
    log(`a node was not let in: ${why}`, { pop: wish.pop, country: wish.country })
    return { refused: why, ...said }
  }
}

async function letIn(options: AnswerJoinsOptions, authority: MeshAuthority, request: JoinRequest, wish: JoinWish) {
  const { clock, isAlive, secretsFor } = options
  const publicKey = readKey(request, wish)
  const fingerprint = fingerprintOf(publicKey)
  const asked = { node: wish.node ?? wish.pop, pop: wish.pop, country: wish.country }
  if (!isPlace(asked))
    throw new EdgeError('bad_request', `${wish.pop}:${wish.country} is no name of a PoP and country, such as fra:DE.`)
  const key = await checkProof(options, request, wish, fingerprint)
  const { pop, country } = asked
  const wanted = wish.node === undefined ? {} : { node: wish.node }
  const node = await reserveName({ fabric: options.fabric, clock }, { pop, fingerprint, isAlive, ...wanted })
  const place: Place = { node, pop, country }
  const gift: JoinGift = {
    place,
    certificate: await authority.issue(place, publicKey),
    authority: authority.certificate,
    secrets: await secretsFor(place),
  }
  const sealed = sealFor(publicKey, JSON.stringify(gift), wish.id)
  return { place, sealed, mac: key && proofOf(key, 'answer', sealed) }
}

function readKey({ wish: text, signature }: JoinRequest, wish: JoinWish): KeyObject {
  let publicKey: KeyObject
  try {
    publicKey = createPublicKey({ key: Buffer.from(String(wish.publicKey), 'base64'), format: 'der', type: 'spki' })
  } catch (cause) {
    throw new EdgeError('bad_request', 'The request to join holds no key.', { cause })
  }
  if (publicKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1')
    throw new EdgeError('bad_request', 'The request to join holds a key that is not on P-256.')
  if (!verify('sha256', Buffer.from(text), publicKey, Buffer.from(String(signature), 'base64')))
    throw new EdgeError('bad_request', 'The request to join was not signed by its own key.')
  return publicKey
}

/** Resolves with the stretched token where that was the proof. */
async function checkProof(
  options: AnswerJoinsOptions,
  { wish: text, proof }: JoinRequest,
  wish: JoinWish,
  fingerprint: string,
): Promise<Buffer | undefined> {
  const signed = Buffer.from(text)
  if (proof?.kind === 'invite') {
    const signature = Buffer.from(String(proof.signature), 'base64')
    const { pop, country } = wish
    await spendInvite(options, { id: String(proof.invite), signed, signature, pop, country, fingerprint })
    return undefined
  }
  if (proof?.kind === 'token') {
    const key = await stretchToken(options.token, wish.id)
    if (secretCheck(proofOf(key, 'request', signed))(String(proof.mac))) return key
    throw new EdgeError('bad_request', 'The token (RIMWARD_TOKEN) is not that of this platform.')
  }
  if (options.open) return undefined
  throw new EdgeError(
    'bad_request',
    'This platform takes in who brings an invitation («rimward invite», then --invite), or its token (RIMWARD_TOKEN).',
  )
}
