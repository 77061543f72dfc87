/** A package as `fastly compute pack` makes it: `NAME/bin/main.wasm` and `NAME/fastly.toml` in a gzip-compressed tar archive. */
import { gzipSync } from 'node:zlib'

const block = 512

export function writePackage(name: string, module: Uint8Array, manifest: string): Uint8Array {
  const folder = name.replace(/[^A-Za-z0-9._-]/g, '-').slice(0, 60)
  const files: [string, Uint8Array][] = [
    [`${folder}/bin/main.wasm`, module],
    [`${folder}/fastly.toml`, Buffer.from(manifest)],
  ]
  const archive = files.flatMap(([path, bytes]) => [header(path, bytes.length), bytes, padding(bytes.length)])
  // The module is most of it, and hardly smaller for more effort.
  return gzipSync(Buffer.concat([...archive, Buffer.alloc(2 * block)]), { level: 1 })
}

/** POSIX ustar. */
function header(path: string, size: number): Buffer {
  const bytes = Buffer.alloc(block)
  bytes.write(path, 0)
  bytes.write('0000644\0', 100)
  bytes.write('0000000\0', 108)
  bytes.write('0000000\0', 116)
  bytes.write(`${size.toString(8).padStart(11, '0')}\0`, 124)
  bytes.write('00000000000\0', 136)
  bytes.write('        ', 148)
  bytes.write('0', 156)
  bytes.write('ustar\u000000', 257)
  const sum = bytes.reduce((total, byte) => total + byte, 0)
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return bytes
}

const padding = (length: number): Buffer => Buffer.alloc((block - (length % block)) % block)
