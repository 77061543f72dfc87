/** Brings up from disk what is asked for the second time. */
import { DiskAnswer } from './disk/disk-answer.ts'
import type { MemoryStore } from './memory/memory-store.ts'
import type { StoredAnswer, StoredHead } from './store.ts'
import { identityOf, sameIdentity } from './stored-identity.ts'

export interface Promotion {
  /** Given what was just found on disk under one key. */
  consider(answers: readonly StoredAnswer[]): void
}

/** More under one key are the parts of a large object, of which one is wanted. */
const mostAnswers = 8
/** Large bodies that are read at once. */
const mostReading = 4

/** `leaving`: whether answers like this are being removed just now. */
export function createPromotion(memory: MemoryStore, leaving: (head: StoredHead) => boolean): Promotion {
  const reading = new Set<string>()

  function raise(answer: DiskAnswer, body: Uint8Array): void {
    const { head } = answer
    const known = memory.find(head.key).some((other) => sameIdentity(other.head, head))
    if (answer.current && !known && !leaving(head)) memory.put(head, body)
  }

  async function readUp(answer: DiskAnswer): Promise<void> {
    const identity = identityOf(answer.head)
    if (reading.size >= mostReading || reading.has(identity) || !memory.hold(answer.bodyBytes)) return
    reading.add(identity)
    try {
      raise(answer, Buffer.concat(await answer.stream().toArray()))
    } catch {
      // A damaged body has left the disk by now.
    } finally {
      memory.hold(-answer.bodyBytes)
      reading.delete(identity)
    }
  }

  return {
    consider(answers) {
      if (answers.length > mostAnswers) return
      for (const answer of answers) {
        if (!(answer instanceof DiskAnswer) || answer.usesBefore === 0 || answer.bodyBytes > memory.objectBytes)
          continue
        const body = answer.bytes()
        if (body === undefined) void readUp(answer)
        else raise(answer, body)
      }
    },
  }
}
