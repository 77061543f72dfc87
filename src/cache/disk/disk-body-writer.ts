/** A body on its way to the disk: kept until it is known to be small, else written to a file of its own as it comes. */
import type { Bytes } from '#/core/units.ts'
import type { BodyWriter, StoredAnswer, StoredHead } from '../store.ts'
import type { BodyFileWriter } from './body-files.ts'
import type { DiskWriter, Pending } from './disk-writer.ts'
import type { Shelf } from './shelf.ts'

export interface BodyWriterOptions {
  readonly head: StoredHead
  readonly shelf: Shelf
  readonly writer: DiskWriter
  readonly inlineBytes: Bytes
  readonly mostBytes: Bytes
  /** Asked in the end, in the turn in which it is stored. */
  readonly wanted: () => boolean
  readonly written: (pending: Pending | undefined) => Promise<StoredAnswer | undefined>
}

export function createBodyWriter(options: BodyWriterOptions): BodyWriter {
  const { head, shelf, writer, inlineBytes, mostBytes, written, wanted } = options
  let chunks: Uint8Array[] = []
  let length = 0
  let file: BodyFileWriter | undefined
  let ended = false
  /** What the shelf counts for the file that grows. */
  let grown = 0
  let turn: Promise<boolean> = Promise.resolve(true)

  async function giveUp(): Promise<false> {
    ended = true
    chunks = []
    const open = file
    file = undefined
    if (open !== undefined) {
      shelf.growing -= grown
      grown = 0
      await open.abort().catch(() => {})
    }
    return false
  }

  async function spill(chunk: Uint8Array): Promise<boolean> {
    if (ended) return false
    try {
      if (!(await writer.reserve(chunk.length))) return giveUp()
      file ??= await shelf.bodies.create()
      shelf.growing += chunk.length
      grown += chunk.length
      await file.write(chunk)
      return true
    } catch (error) {
      writer.failed(error)
      return giveUp()
    }
  }

  async function finishFile(): Promise<StoredAnswer | undefined> {
    if (!(await turn) || ended || file === undefined) return undefined
    try {
      const body = await file.finish()
      file = undefined
      ended = true
      // From here on the shelf counts it, for the record that waits; without one it goes.
      shelf.retain(body.file, body.bytes)
      shelf.growing -= grown
      grown = 0
      const pending = wanted() ? writer.submit(head, body) : undefined
      shelf.release(body.file)
      return await written(pending)
    } catch (error) {
      writer.failed(error)
      await giveUp()
      return undefined
    }
  }

  return {
    write(chunk) {
      if (ended) return false
      length += chunk.length
      if (length > mostBytes) return turn.then(giveUp)
      if (length <= inlineBytes) {
        chunks.push(chunk)
        return true
      }
      const held = chunks.length === 0 ? chunk : Buffer.concat([...chunks, chunk])
      chunks = []
      turn = turn.then((going) => going && spill(held))
      return turn
    },
    async finish() {
      if (ended) return undefined
      if (length > inlineBytes) return finishFile()
      ended = true
      if (!wanted()) return undefined
      return written(writer.submit(head, chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length)))
    },
    abort() {
      if (ended) return
      ended = true
      turn = turn.then(giveUp)
    },
  }
}
