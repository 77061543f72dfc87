/**
 * Heads that come again with every use of a stored answer (`fixed-head.ts`), as HPACK: written out for HTTP/1, they are
 * turned into a block once.
 */
import { headBlock } from '#/http/hpack.ts'

/** A few hundred bytes each. Thrown away together: each is good for a second, until its Age changes. */
const keptBlocks = 1_000
const blocks = new Map<string, string>()

/** The block, as Latin-1 text, of `HTTP/1.1 200 OK` and the lines of fields behind it; the same string is looked up fast. */
export function fixedBlock(head: string): string {
  const known = blocks.get(head)
  if (known !== undefined) return known
  const text = headBlock(200, fieldsOfLines(head, head.indexOf('\r\n') + 2))
  // One piece of text: what is joined from many is joined anew by each who reads it.
  const block = Buffer.from(text, 'latin1').toString('latin1')
  if (blocks.size === keptBlocks) blocks.clear()
  blocks.set(head, block)
  return block
}

/** Names and values of lines `name: value`, each with its line end, from index `from` on. */
export function fieldsOfLines(text: string, from: number): string[] {
  const fields: string[] = []
  for (let at = from; at < text.length; ) {
    const colon = text.indexOf(': ', at)
    const end = text.indexOf('\r\n', colon)
    fields.push(text.slice(at, colon), text.slice(colon + 2, end))
    at = end + 2
  }
  return fields
}
