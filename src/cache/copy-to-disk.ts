/**
 * Brings to disk what memory took: small bodies are handed over at once, large ones are written in pieces in the background,
 * and what was replaced or removed meanwhile is not kept.
 */
import type { Bytes } from '#/core/units.ts'
import type { DiskStore } from './disk/disk-store.ts'
import type { StoredHead } from './store.ts'
import { identityOf, replaces } from './stored-identity.ts'

export interface DiskCopies {
  /** Takes the place of what the disk has; where the disk does not take it, what it has goes. */
  copy(head: StoredHead, body: Uint8Array): void
  cancel(head: StoredHead): void
  cancelWhere(match: (head: StoredHead) => boolean): void
  /** Says that an answer is about to be stored on disk: whatever takes its place until `end` makes it unwanted. */
  claim(head: StoredHead): Claim
  /** Whether a large body is being written under the head's key, variant and part. */
  under(head: StoredHead): boolean
  /** Resolves when no large body is being written. */
  idle(): Promise<void>
}

export interface Claim {
  readonly head: StoredHead
  readonly wanted: boolean
  end(): void
}

interface Copy extends Claim {
  wanted: boolean
}

const pieceBytes = 256 * 1024

export function createDiskCopies({ disk, queueBytes }: { disk: DiskStore; queueBytes: Bytes }): DiskCopies {
  const running = new Map<string, Copy>()
  const ends = new Set<Promise<void>>()
  let bytes = 0

  function claim(head: StoredHead): Claim {
    cancel(head)
    const identity = identityOf(head)
    const started: Copy = {
      head,
      wanted: true,
      end() {
        if (running.get(identity) === started) running.delete(identity)
      },
    }
    running.set(identity, started)
    return started
  }

  function copy(head: StoredHead, body: Uint8Array): void {
    cancel(head)
    if (body.length <= disk.inlineBytes) {
      if (!disk.put(head, body)) disk.forget(head)
      return
    }
    disk.forget(head)
    if (bytes + body.length > queueBytes) return
    bytes += body.length
    const started = claim(head)
    const end = write(started, body).finally(() => {
      bytes -= body.length
      started.end()
      ends.delete(end)
    })
    ends.add(end)
  }

  async function write(started: Claim, body: Uint8Array): Promise<void> {
    const writer = disk.openWhile(started.head, body.length, () => started.wanted)
    if (writer === undefined) return
    for (let at = 0; at < body.length; at += pieceBytes) {
      if (!started.wanted) return writer.abort()
      if (!(await writer.write(body.subarray(at, at + pieceBytes)))) return
    }
    await writer.finish()
  }

  function cancel(head: StoredHead): void {
    for (const [identity, known] of running) {
      if (known.head.key !== head.key || !replaces(head, known.head)) continue
      known.wanted = false
      running.delete(identity)
    }
  }

  return {
    copy,
    claim,
    cancel,
    cancelWhere(match) {
      for (const { head } of [...running.values()]) if (match(head)) cancel(head)
    },
    under: (head) => running.has(identityOf(head)),
    async idle() {
      await Promise.all(ends)
    },
  }
}
