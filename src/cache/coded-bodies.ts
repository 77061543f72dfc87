/**
 * Bodies of stored answers in other content codings, kept beside them: encoded once, found by the next who takes that
 * coding. Each bears URL, tags and sequence of its answer, so that whatever purges the one purges the others.
 */
import { pipeline, type Readable, Transform } from 'node:stream'
import type { CodedBodies } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { EgressAnswer } from '#/core/ports.ts'
import type { Arriving } from './flight.ts'
import { policyOf } from './may-reuse.ts'
import type { Purges } from './purges.ts'
import type { BodyWriter, CacheStore, StoredAnswer, StoredHead } from './store.ts'

export interface CodedParts {
  readonly store: CacheStore
  readonly purges: Pick<Purges, 'of'>
  readonly limits: Pick<Limits, 'compressWholeBytes' | 'compressStoredBytes'>
  readonly arriving: Set<Arriving>
  /** Keys of those being kept at this moment. */
  readonly coding: Set<string>
}

/** The answer with its coded bodies, where encoding it anew each time is not cheap: large, or not in memory. */
export function withCodings(answer: EgressAnswer, stored: StoredAnswer, parts: CodedParts): EgressAnswer {
  const { body, status } = answer
  if (status !== 200 || body === null) return answer
  if (body instanceof Uint8Array && body.length <= parts.limits.compressWholeBytes) return answer
  return { ...answer, codings: codedBodies(stored, parts) }
}

/** Stays the same when the origin confirms the answer: the body does too. */
export function bodyIdOf({ bodyBytes, head }: StoredAnswer): string {
  const { bodyId, etag = '' } = policyOf(head)
  return bodyId ?? `${head.sequence} ${head.requestedAt} ${head.receivedAt} ${bodyBytes} ${etag}`
}

function codedBodies(stored: StoredAnswer, parts: CodedParts): CodedBodies {
  const { head } = stored
  const keyOf = (coding: string) => `${head.key}\ncoded ${coding}`
  const pick = (found: readonly StoredAnswer[]) => {
    const id = bodyIdOf(stored)
    const one = found.find((other) => other.head.variant === head.variant && policyOf(other.head).codedFrom === id)
    return one && { bytes: one.bodyBytes, body: one.bytes() ?? one.stream() }
  }
  return {
    find(coding) {
      const found = parts.store.find(keyOf(coding))
      // A store that cannot read now has nothing.
      return Array.isArray(found) ? pick(found) : (found as Promise<StoredAnswer[]>).then(pick, () => undefined)
    },
    keep(coding, coded) {
      const key = keyOf(coding)
      const name = `${key}\n${head.variant}`
      if (parts.coding.has(name)) return coded
      const copy: StoredHead = {
        ...head,
        key,
        headers: [],
        policy: { ...head.policy, surrogate: undefined, codedFrom: bodyIdOf(stored) },
      }
      const writer = parts.store.open(copy, undefined)
      if (writer === undefined) return coded
      parts.coding.add(name)
      return readThrough(
        coded,
        keeping(copy, writer, parts, () => parts.coding.delete(name)),
      )
    },
  }
}

interface Keeping {
  write(chunk: Uint8Array): boolean | Promise<boolean>
  finish(): void
  giveUp(): void
}

/** A purge that comes while the body is being encoded finds it among what arrives. */
function keeping(head: StoredHead, writer: BodyWriter, parts: CodedParts, onOver: () => void): Keeping {
  let bytes = 0
  let doomed = false
  const arriving: Arriving = {
    key: head.key,
    sequence: head.sequence,
    doom() {
      doomed = true
    },
    get doomed() {
      return doomed
    },
  }
  parts.arriving.add(arriving)
  const over = () => {
    parts.arriving.delete(arriving)
    onOver()
  }
  const giveUp = () => {
    writer.abort()
    over()
  }
  return {
    giveUp,
    write(chunk) {
      bytes += chunk.length
      return bytes <= parts.limits.compressStoredBytes && writer.write(chunk)
    },
    finish() {
      if (doomed || parts.purges.of(head)?.hard === true) return giveUp()
      const stored = writer.finish().catch(() => undefined)
      void stored.then((answer) => answer !== undefined && doomed && parts.store.remove(answer)).finally(over)
    },
  }
}

/** What passes is kept; who reads gets it whatever becomes of the copy. */
function readThrough(coded: Readable, copy: Keeping): Readable {
  let open = true
  const giveUp = () => {
    if (open) copy.giveUp()
    open = false
  }
  const through = new Transform({
    transform(chunk: Uint8Array, _encoding, callback) {
      const more = open ? copy.write(chunk) : true
      if (more === true) return callback(null, chunk)
      const go = (wanted: boolean) => {
        if (!wanted) giveUp()
        callback(null, chunk)
      }
      if (more === false) go(false)
      else more.then(go, () => go(false))
    },
    flush(callback) {
      if (open) copy.finish()
      open = false
      callback()
    },
    destroy(error, callback) {
      giveUp()
      callback(error)
    },
  })
  pipeline(coded, through, () => {})
  return through
}
