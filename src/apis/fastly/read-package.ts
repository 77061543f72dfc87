/**
 * Packages of Compute programs: `NAME/bin/main.wasm` and `NAME/fastly.toml` in a gzip-compressed tar archive.
 * https://www.fastly.com/documentation/reference/compute/fastly-toml/
 */
import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { parse as parseToml } from 'smol-toml'
import type { Limits } from '#/core/limits.ts'
import { FastlyError } from './errors.ts'
import { readTar, TarError, type TarFile } from './read-tar.ts'

export interface Package {
  readonly module: Uint8Array
  readonly metadata: PackageMetadata
}

/** As Fastly shows it; hashes are hex SHA-512: of the archive, and of all files' contents in the byte order of their names. */
export interface PackageMetadata {
  readonly name: string
  readonly description: string
  readonly authors: readonly string[]
  readonly language: string
  readonly size: number
  readonly hashsum: string
  readonly files_hash: string
}

const unzip = promisify(gunzip)

/** Throws a `FastlyError` (400) that says what is wrong with the package. */
export async function readPackage(
  archive: Uint8Array,
  limits: Pick<Limits, 'packageUnpackedBytes' | 'packageFiles'>,
): Promise<Package> {
  const files = readFiles(await unpack(archive, limits.packageUnpackedBytes), limits.packageFiles)
  const root = rootOf(files)
  const find = (path: string) => {
    const found = files.find(({ name }) => name === `${root}/${path}`)
    if (found === undefined) throw badPackage(`it holds no '${root}/${path}'`)
    return found.content
  }
  const module = find('bin/main.wasm')
  checkModule(module)
  return { module, metadata: { ...readManifest(find('fastly.toml')), ...hashes(archive, files) } }
}

export function badPackage(why: string): FastlyError {
  return new FastlyError(400, 'Invalid package', `The package cannot be used: ${why}.`)
}

async function unpack(archive: Uint8Array, most: number): Promise<Uint8Array> {
  if (archive[0] !== 0x1f || archive[1] !== 0x8b) throw badPackage('it is not compressed with gzip')
  try {
    return await unzip(archive, { maxOutputLength: most })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
      throw badPackage(`unpacked it is larger than ${most} bytes`)
    throw badPackage('it is cut short or damaged')
  }
}

function readFiles(tar: Uint8Array, most: number): readonly TarFile[] {
  try {
    return readTar(tar, { files: most })
  } catch (error) {
    if (error instanceof TarError) throw badPackage(`the archive ${error.message}`)
    throw error
  }
}

function rootOf(files: readonly TarFile[]): string {
  const roots = new Set(files.map(({ name }) => name.split('/')[0]!))
  const [root] = roots
  if (root === undefined) throw badPackage('it is empty')
  if (roots.size > 1 || files.some(({ name }) => !name.includes('/')))
    throw badPackage('its files are not all in one folder')
  return root
}

/** https://webassembly.github.io/spec/core/binary/modules.html#binary-module; `packages.ts` has its code checked. */
function checkModule(module: Uint8Array): void {
  const head = Buffer.from(module.subarray(0, 8)).toString('hex')
  if (head === '0061736d0d000100')
    throw badPackage('bin/main.wasm is a component; Rimward runs core modules (fastly_* and WASI preview 1)')
  if (head !== '0061736d01000000') throw badPackage('bin/main.wasm is not WebAssembly')
  let at = 8
  while (at < module.length) {
    const size = readSize(module, at + 1)
    if (size === undefined) break
    at = size.next + size.value
  }
  if (at !== module.length) throw badPackage('bin/main.wasm is cut short or damaged')
}

/** LEB128, at most 32 bits. */
function readSize(bytes: Uint8Array, start: number): { readonly value: number; readonly next: number } | undefined {
  let value = 0
  for (let index = 0; index < 5; index++) {
    const byte = bytes[start + index]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 2 ** (7 * index)
    if (byte < 0x80) return { value, next: start + index + 1 }
  }
  return undefined
}

function readManifest(content: Uint8Array): Omit<PackageMetadata, 'size' | 'hashsum' | 'files_hash'> {
  let manifest: Record<string, unknown>
  try {
    manifest = parseToml(Buffer.from(content).toString('utf8'))
  } catch {
    throw badPackage('its fastly.toml is not TOML')
  }
  const text = (key: string) => (typeof manifest[key] === 'string' ? (manifest[key] as string).slice(0, 1000) : '')
  const authors = Array.isArray(manifest.authors) ? manifest.authors : []
  return {
    name: text('name'),
    description: text('description'),
    authors: authors.filter((one) => typeof one === 'string').slice(0, 20),
    language: text('language'),
  }
}

function hashes(
  archive: Uint8Array,
  files: readonly TarFile[],
): Pick<PackageMetadata, 'size' | 'hashsum' | 'files_hash'> {
  const all = createHash('sha512')
  for (const { content } of files.toSorted((one, other) =>
    Buffer.compare(Buffer.from(one.name), Buffer.from(other.name)),
  ))
    all.update(content)
  return {
    size: archive.length,
    hashsum: createHash('sha512').update(archive).digest('hex'),
    files_hash: all.digest('hex'),
  }
}
