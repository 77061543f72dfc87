/** Archives for tests, right and wrong ones: whatever is asked for is written. */
import { gzipSync } from 'node:zlib'

export interface TarEntry {
  readonly name: string
  readonly content?: Uint8Array | string
  /** Type flag; default a file. */
  readonly kind?: string
  readonly link?: string
  /** What the header says, instead of the content's length. */
  readonly size?: number
}

const block = 512

export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = []
  for (const { name, content = '', kind = '0', link = '', size } of entries) {
    const bytes = Buffer.from(content)
    const header = Buffer.alloc(block)
    header.write(name.slice(0, 100), 0)
    header.write('0000644\0', 100)
    header.write(`${(size ?? bytes.length).toString(8).padStart(11, '0')}\0`, 124)
    header.write('00000000000\0', 136)
    header.write('        ', 148)
    header.write(kind, 156)
    header.write(link, 157)
    header.write('ustar\u000000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    parts.push(header, bytes, Buffer.alloc((block - (bytes.length % block)) % block))
  }
  return Buffer.concat([...parts, Buffer.alloc(2 * block)])
}

/** `LENGTH path=NAME\n`, the length with its own digits. */
export function paxPath(name: string): TarEntry {
  const rest = ` path=${name}\n`
  let length = Buffer.byteLength(rest) + 1
  while (`${length}${rest}`.length !== length && Buffer.byteLength(`${length}${rest}`) !== length) length++
  return { name: 'PaxHeaders/x', kind: 'x', content: `${length}${rest}` }
}

/** A package of these files. */
export const packageOf = (entries: readonly TarEntry[]): Buffer => gzipSync(tar(entries))
