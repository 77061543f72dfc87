/**
 * What a node and a process of databases say to each other, over the process's standard input and output: frames of two
 * lengths (u32, big-endian), a head of JSON and a body of bytes.
 */

export interface Frame {
  readonly head: { readonly [name: string]: unknown }
  readonly body: Uint8Array
}

/** File descriptor, in the process, of the file that holds the number of the query that was begun last (f64, little-endian). */
export const begunFile = 3

export function encodeFrame(head: Frame['head'], body: Uint8Array = new Uint8Array(0)): Buffer[] {
  const headBytes = Buffer.from(JSON.stringify(head))
  const lengths = Buffer.allocUnsafe(8)
  lengths.writeUInt32BE(headBytes.length, 0)
  lengths.writeUInt32BE(body.length, 4)
  return [lengths, headBytes, Buffer.from(body.buffer, body.byteOffset, body.length)]
}

/** Takes bytes as they arrive, gives the frames that are whole. What comes from one feeding may share its memory. */
export function createFrameReader(): (bytes: Uint8Array) => Frame[] {
  let kept: Buffer[] = []
  let keptBytes = 0
  /** So many are needed before another look is worth it. */
  let wanted = 8

  return (bytes) => {
    kept.push(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))
    keptBytes += bytes.length
    const frames: Frame[] = []
    if (keptBytes < wanted) return frames
    let whole = kept.length === 1 ? kept[0]! : Buffer.concat(kept, keptBytes)
    for (;;) {
      wanted = whole.length < 8 ? 8 : 8 + whole.readUInt32BE(0) + whole.readUInt32BE(4)
      if (whole.length < wanted) break
      const bodyAt = 8 + whole.readUInt32BE(0)
      const head = JSON.parse(whole.toString('utf8', 8, bodyAt)) as Frame['head']
      frames.push({ head, body: whole.subarray(bodyAt, wanted) })
      whole = whole.subarray(wanted)
    }
    kept = whole.length === 0 ? [] : [whole]
    keptBytes = whole.length
    return frames
  }
}
