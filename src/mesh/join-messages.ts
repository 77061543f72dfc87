/** The two messages of a join, as they go over the fabric. */
import type { NodeId, Place, PopId } from '#/core/pops.ts'
import type { EpochMs } from '#/core/units.ts'

export const joinTopic = 'mesh-join'
export const answerTopic = (id: string) => `${joinTopic}-${id}`

/** What a newcomer says of itself; signed as the JSON text that was sent. */
export interface JoinWish {
  /** Of this request: 32 hex digits. */
  readonly id: string
  /** SPKI, base64. */
  readonly publicKey: string
  readonly pop: PopId
  readonly country: string
  readonly node?: NodeId
  readonly now: EpochMs
}

/** Why it may come in. `open`: because the platform lets everybody in who reaches its fabric. */
export type JoinProof =
  | { readonly kind: 'invite'; readonly invite: string; readonly signature: string }
  | { readonly kind: 'token'; readonly mac: string }
  | { readonly kind: 'open' }

export interface JoinRequest {
  /** A `JoinWish`. */
  readonly wish: string
  /** By the newcomer's own key: it has the private half. */
  readonly signature: string
  readonly proof: JoinProof
}

export type JoinAnswer = JoinAccepted | JoinRefused

export interface JoinAccepted {
  /** Opens with the newcomer's key to a `JoinGift`; base64. */
  readonly sealed: string
  /** By the authority, over the id and what is sealed. */
  readonly signature: string
  /** Where the administrator's token was the proof: by the same token, that the platform has it too. */
  readonly mac?: string
  readonly by: NodeId
  readonly now: EpochMs
}

export interface JoinRefused {
  readonly refused: string
  readonly by: NodeId
  readonly now: EpochMs
}

export interface JoinGift {
  readonly place: Place
  /** PEM. */
  readonly certificate: string
  readonly authority: string
  /** What a node of this place must hold, in the words of who handed it over. */
  readonly secrets: string
}

export function encode(message: object): Buffer {
  return Buffer.from(JSON.stringify(message))
}

/** `undefined` for what is no JSON object. */
export function decode<Message>(bytes: Uint8Array): Message | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString())
    return typeof value === 'object' && value !== null ? (value as Message) : undefined
  } catch {
    return undefined
  }
}

export function signedAnswer(id: string, sealed: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`rimward join ${id} `), sealed])
}
