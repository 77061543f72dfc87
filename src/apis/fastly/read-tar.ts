/**
 * Archives as tools write them: ustar, pax (POSIX.1-2024 pax §«Extended Header Block») and GNU's long names. Strict: what an
 * archive of plain files has no need of is refused by name.
 */

export interface TarFile {
  /** As in the archive, without a leading `./`; relative, without `..`. */
  readonly name: string
  readonly content: Uint8Array
}

/** Says what is wrong with an archive, in one sentence without a subject. */
export class TarError extends Error {}

const block = 512
const decoder = new TextDecoder('utf-8', { fatal: true })

/** Regular files in the order of the archive; folders are passed over. Throws a `TarError`. */
export function readTar(archive: Uint8Array, limits: { readonly files: number }): readonly TarFile[] {
  const files: TarFile[] = []
  const seen = new Set<string>()
  /** Of the next entry, from a header of its own before it. */
  let longName: string | undefined
  let at = 0
  for (;;) {
    const header = archive.subarray(at, at + block)
    if (header.length < block) throw new TarError('ends before its last block')
    if (header.every((byte) => byte === 0)) return files
    checkSum(header)
    const size = readNumber(header, 124, 12)
    const content = archive.subarray(at + block, at + block + size)
    if (content.length < size) throw new TarError('ends in the middle of a file')
    at += block + Math.ceil(size / block) * block
    const kind = String.fromCharCode(header[156]!)
    if (kind === 'x' || kind === 'g') {
      const path = readPax(content).get('path')
      if (kind === 'x' && path !== undefined) longName = path
      continue
    }
    if (kind === 'L') {
      longName = readText(content)
      continue
    }
    const name = checkName(longName ?? nameOf(header))
    longName = undefined
    if (kind === '5') continue
    if (kind !== '0' && kind !== '\0') throw new TarError(`holds ${kinds[kind] ?? 'something unknown'}: '${name}'`)
    if (seen.has(name)) throw new TarError(`holds '${name}' twice`)
    if (files.length >= limits.files) throw new TarError(`holds more than ${limits.files} files`)
    seen.add(name)
    files.push({ name, content })
  }
}

const kinds: Readonly<Record<string, string>> = {
  1: 'a link',
  2: 'a symbolic link',
  3: 'a device',
  4: 'a device',
  6: 'a named pipe',
  K: 'a link',
  S: 'a sparse file',
}

function nameOf(header: Uint8Array): string {
  const name = readText(header.subarray(0, 100))
  const isUstar = readText(header.subarray(257, 262)) === 'ustar'
  // GNU's own format has times where ustar has the prefix.
  const prefix = isUstar && header[262] === 0 ? readText(header.subarray(345, 500)) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

function checkName(given: string): string {
  const name = given.replace(/^(\.\/)+/, '')
  const shown = `'${given.slice(0, 200)}'`
  if (name.startsWith('/') || /^[A-Za-z]:/.test(name)) throw new TarError(`holds the absolute path ${shown}`)
  if (name.split('/').includes('..')) throw new TarError(`holds a path that leads out of it: ${shown}`)
  if (/[\x00-\x1f\\]/.test(name)) throw new TarError(`holds a path with characters that no path needs: ${shown}`)
  return name
}

/** The header's bytes added up, its own field counted as blanks. */
function checkSum(header: Uint8Array): void {
  let sum = 8 * 0x20
  for (let index = 0; index < block; index++) if (index < 148 || index >= 156) sum += header[index]!
  if (sum !== readNumber(header, 148, 8)) throw new TarError('is no tar archive')
}

function readNumber(header: Uint8Array, start: number, length: number): number {
  const text = readText(header.subarray(start, start + length)).trim()
  if (!/^[0-7]{1,11}$/.test(text)) throw new TarError('is no tar archive')
  return Number.parseInt(text, 8)
}

/** Up to the first zero byte. */
function readText(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  try {
    return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end))
  } catch {
    throw new TarError('holds a name that is not UTF-8')
  }
}

/** Records `LENGTH KEYWORD=VALUE\n`. */
function readPax(content: Uint8Array): Map<string, string> {
  const records = new Map<string, string>()
  let at = 0
  while (at < content.length) {
    const blank = content.indexOf(0x20, at)
    const digits = blank < 0 ? '' : readText(content.subarray(at, blank))
    const length = /^[1-9]\d{0,8}$/.test(digits) ? Number(digits) : 0
    const record = content.subarray(blank + 1, at + length - 1)
    const equals = record.indexOf(0x3d)
    if (length === 0 || at + length > content.length || equals < 1) throw new TarError('has a broken extended header')
    const keyword = readText(record.subarray(0, equals))
    if (keyword === 'size' || keyword.startsWith('GNU.sparse'))
      throw new TarError(`has an extended header '${keyword.slice(0, 40)}', which small files do not need`)
    records.set(keyword, readText(record.subarray(equals + 1)))
    at += length
  }
  return records
}
