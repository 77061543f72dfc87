/**
 * Blocks of memory in which the frames of a turn are put together, used again when the system has taken them.
 */

/** A whole turn of most connections; the largest frame that we send fits. */
export const blockBytes = 32 * 1024
/** As many connections can have such a block on its way at once; others get one as small as they need. */
const blocks = 64
const smallBytes = 4 * 1024

export interface Blocks {
  /** At least `bytes`, at most `blockBytes`. */
  take(bytes: number): Buffer
  give(block: Buffer): void
}

export function createBlocks(): Blocks {
  const free: Buffer[] = []
  let made = 0
  return {
    take(bytes) {
      const block = free.pop()
      if (block !== undefined) return block
      if (made === blocks) return Buffer.allocUnsafeSlow(Math.max(bytes, smallBytes))
      made++
      return Buffer.allocUnsafeSlow(blockBytes)
    },
    give(block) {
      if (block.length === blockBytes && free.length < blocks) free.push(block)
    },
  }
}
