/**
 * Secrets at rest: AES-256-GCM under keys that lie beside the data. Every sealed text names its key, so that a new key can
 * be put first in the file while texts under older ones still open. A platform shares its keys with all its nodes.
 */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import { link, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { Seal } from '#/core/ports.ts'

const algorithm = 'aes-256-gcm'
const keyBytes = 32
/** NIST SP 800-38D §8.2: 96 bits, random; good for 2^32 texts a key. */
const nonceBytes = 12
const tagBytes = 16

/** The key file: JSON, keys in base64; the first one seals. */
interface KeyFile {
  readonly version: 1
  readonly keys: readonly StoredKey[]
}

interface StoredKey {
  readonly id: string
  readonly key: string
}

interface HeldKey extends StoredKey {
  readonly bytes: Buffer
}

export interface KeyRing extends Seal {
  /** In the words of `keepKeys`. */
  keys(): string
}

/**
 * Makes the key file (mode 0600, on disk before this resolves) where there is none. Rejects when others than its owner may
 * read it, or when it is not ours. `open` throws when the text was changed, cut, or sealed under a key not in the file.
 */
export async function openSeal({ keyFile }: { keyFile: string }): Promise<KeyRing> {
  const keys = readKeys(keyFile, await readOrCreate(keyFile))

  return {
    seal(plaintext) {
      const { id, bytes: currentKey } = keys.values().next().value!
      const head = `v1.${id}`
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv(algorithm, currentKey, nonce, { authTagLength: tagBytes }).setAAD(Buffer.from(head))
      const text = Buffer.concat([nonce, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `${head}.${text.toString('base64')}`
    },
    open(sealed) {
      const [version, id = '', encoded = '', ...more] = sealed.split('.')
      const key = keys.get(id)?.bytes
      const bytes = Buffer.from(encoded, 'base64')
      // Buffer skips what is no base64, so only the same text back proves that nothing was slipped in.
      if (version !== 'v1' || more.length > 0 || bytes.toString('base64') !== encoded) throw broken('it is malformed')
      if (bytes.length < nonceBytes + tagBytes) throw broken('it is cut short')
      if (key === undefined) throw broken(`its key ${id} is not in ${keyFile}`)
      const decipher = createDecipheriv(algorithm, key, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
        .setAAD(Buffer.from(`${version}.${id}`))
        .setAuthTag(bytes.subarray(-tagBytes))
      const opened = decipher.update(bytes.subarray(nonceBytes, -tagBytes))
      try {
        return Buffer.concat([opened, decipher.final()]).toString()
      } catch (error) {
        throw broken('it was changed', error)
      }
    },
    keys: () => textOf([...keys.values()]),
  }
}

/**
 * Adds keys that another node gave, before its own: the first of all seals. On disk when this resolves; a seal
 * that is open already does not see them.
 */
export async function keepKeys({ keyFile, keys }: { keyFile: string; keys: string }): Promise<void> {
  const given = readKeys('What the other node gave', keys)
  const own = readKeys(keyFile, await readOrCreate(keyFile))
  await writeKeys(keyFile, [...given.values(), ...[...own.values()].filter(({ id }) => !given.has(id))])
}

function broken(why: string, cause?: unknown): EdgeError {
  return new EdgeError('internal', `A sealed secret cannot be opened: ${why}.`, { cause })
}

async function readOrCreate(keyFile: string): Promise<string> {
  const found = await readIfThere(keyFile)
  if (found !== undefined) return found
  await createKeyFile(keyFile)
  return readFile(keyFile, 'utf8')
}

async function readIfThere(keyFile: string): Promise<string | undefined> {
  try {
    const { mode } = await stat(keyFile)
    // Windows has no such bits.
    if (process.platform !== 'win32' && (mode & 0o077) !== 0)
      throw new EdgeError('internal', `${keyFile} can be read by others: run «chmod 600 ${keyFile}».`)
    return await readFile(keyFile, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** Whole or not at all, and never over a file that another process made meanwhile. */
async function createKeyFile(keyFile: string): Promise<void> {
  const temporary = await writeDraft(keyFile, [newKey()])
  try {
    await link(temporary, keyFile).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await unlink(temporary)
  }
  await syncFolderOf(keyFile)
}

async function writeKeys(keyFile: string, keys: readonly StoredKey[]): Promise<void> {
  await rename(await writeDraft(keyFile, keys), keyFile)
  await syncFolderOf(keyFile)
}

/** On disk when this resolves, with the name of the draft. */
async function writeDraft(keyFile: string, keys: readonly StoredKey[]): Promise<string> {
  const temporary = `${keyFile}.${randomUUID()}`
  const handle = await open(temporary, 'wx', 0o600)
  try {
    await handle.writeFile(textOf(keys))
    await handle.sync()
  } finally {
    await handle.close()
  }
  return temporary
}

async function syncFolderOf(keyFile: string): Promise<void> {
  const folder = await open(dirname(keyFile))
  await folder.sync().finally(() => folder.close())
}

function newKey(): StoredKey {
  return { id: randomBytes(4).toString('hex'), key: randomBytes(keyBytes).toString('base64') }
}

function textOf(keys: readonly StoredKey[]): string {
  const file: KeyFile = {
    version: 1,
    keys: keys.map(({ id, key }) => ({ id, key })),
  }
  return `${JSON.stringify(file)}\n`
}

function readKeys(keyFile: string, text: string): Map<string, HeldKey> {
  const wrong = (why: string) => new EdgeError('internal', `${keyFile} is not a key file of Rimward: ${why}.`)
  let file: Partial<KeyFile>
  try {
    file = JSON.parse(text)
  } catch {
    throw wrong('it is not JSON')
  }
  if (file.version !== 1) throw wrong(`its version is ${file.version}, not 1`)
  if (!Array.isArray(file.keys) || file.keys.length === 0) throw wrong('it has no keys')
  const keys = new Map<string, HeldKey>()
  for (const { id, key } of file.keys) {
    const bytes = Buffer.from(String(key), 'base64')
    if (!/^[0-9a-z]+$/.test(String(id)) || bytes.length !== keyBytes) throw wrong(`the key ${id} is not one`)
    keys.set(id, { id, key, bytes })
  }
  return keys
}
