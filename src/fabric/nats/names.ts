/** How the fabric's names become subjects and stream names of NATS. */
import { createHash } from 'node:crypto'
import type { Within } from '#/core/pops.ts'

/** Subjects of one stream: `heads` hold records, `parts` what is too large for one message. */
export interface SubjectRoot {
  readonly heads: string
  readonly parts: string
}

export interface Names {
  /** Records that may lie anywhere, leases, and who placed what. */
  readonly stream: string
  readonly blobStream: string
  readonly anywhere: SubjectRoot
  readonly blobs: SubjectRoot
  readonly leases: string
  /** Where each bucket lies: countries by comma, or nothing. */
  readonly placements: string
  /** Written to learn whether writing works. */
  readonly signs: string
  /** Not kept by any stream. */
  readonly messages: string
  placedStream(within: Within): string
  placed(within: Within): SubjectRoot
}

/** `platform` keeps several platforms on one NATS account apart. */
export function createNames(platform: string): Names {
  return {
    stream: platform,
    blobStream: `${platform}-blobs`,
    anywhere: { heads: `${platform}.b`, parts: `${platform}.p` },
    blobs: { heads: `${platform}.o.h`, parts: `${platform}.o.p` },
    leases: `${platform}.l`,
    placements: `${platform}.w`,
    signs: `${platform}.a`,
    messages: `${platform}.m`,
    placedStream: (within) => `${platform}-in-${placeName(within)}`,
    placed(within) {
      const root = `${platform}.in.${placeName(within)}`
      return { heads: `${root}.b`, parts: `${root}.p` }
    },
  }
}

/** Countries as one name, the same in whatever order they were said: `DE-FR`, or `27-0a1b2c3d4e` where they are many. */
export function placeName(within: Within): string {
  const sorted = [...new Set(within)].sort()
  if (sorted.length <= 4) return sorted.join('-')
  const hash = createHash('sha256').update(sorted.join(',')).digest('hex').slice(0, 10)
  return `${sorted.length}-${hash}`
}

/** Tag of a server that may hold what lies within these countries; NATS compares tags without case. */
export function placeTag(within: Within): string {
  const name = placeName(within).toLowerCase()
  return new Set(within).size === 1 ? `country:${name}` : `within:${name}`
}

const plain = /^[A-Za-z0-9_/-]$/

/**
 * Any well-formed text as one token of a subject: what a subject cannot hold (blank, `.`, `*`, `>`, controls) and every
 * byte beyond ASCII becomes `=XX`. Different texts give different tokens; 1024 bytes give at most 3072.
 */
export function toToken(text: string): string {
  let token = ''
  for (const byte of Buffer.from(text)) {
    const character = String.fromCharCode(byte)
    token += plain.test(character) ? character : `=${byte.toString(16).toUpperCase().padStart(2, '0')}`
  }
  return token
}

/** Undoes `toToken`. */
export function fromToken(token: string): string {
  return toBytes(token).toString()
}

/** UTF-8 bytes of what a token stands for, for sorting. */
export function toBytes(token: string): Buffer {
  return Buffer.from(
    token.replace(/=([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}
