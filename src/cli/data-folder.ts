/** The data folder as the CLI knows it: the claim on it, the token, and where the node listens. */
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { z } from 'zod'
import { Complaint } from './complaint.ts'

const nodeFile = z.object({
  pid: z.number().int(),
  accountId: z.string(),
  addresses: z.object({ http: z.string(), https: z.string().optional(), api: z.string() }),
  pops: z
    .array(z.object({ id: z.string(), country: z.string(), http: z.string(), https: z.string().optional() }))
    .default([]),
})
/** What `up` writes for the other commands to find it; holds no secret. */
export type NodeFile = z.infer<typeof nodeFile>

const nodePath = (folder: string): string => join(folder, 'node.json')
const tokenPath = (folder: string): string => join(folder, 'token')
// Beside the fabric's own `lock`: this one is held from before the first port is opened until the node has stopped.
const lockPath = (folder: string): string => join(folder, 'node.lock')

/** Where `up` keeps everything unless told otherwise. */
export const defaultDataFolder = './.rimward'

/**
 * The folder that a command means: the one named, or else `.rimward` here or, as git does it, in the nearest folder above
 * that has one. Its absolute path, also when there is none.
 */
export function findDataFolder(here: string, named: string): string {
  const wanted = resolve(here, named)
  if (named !== defaultDataFolder) return wanted
  for (let folder = here; ; folder = dirname(folder)) {
    const candidate = resolve(folder, named)
    if (folder === here ? existsSync(candidate) : isOurs(candidate)) return candidate
    if (folder === dirname(folder)) return wanted
  }
}

/** Above the current folder may be places where everybody writes: another user's node is not ours to send tokens to. */
function isOurs(folder: string): boolean {
  const found = statSync(folder, { throwIfNoEntry: false })
  return found !== undefined && found.uid === process.getuid?.()
}

export function makeDataFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new Complaint(`The data folder ${folder} cannot be made: ${(error as Error).message}`)
  }
}

const isBusy = (error: unknown): boolean => /locked|busy/i.test((error as Error).message)

/**
 * Claims the folder for this process until it ends, however it ends: SQLite's file lock is the kernel's, so nothing
 * stale is left after SIGKILL. Throws a `Complaint` while another process holds it.
 */
export function claimDataFolder(folder: string): () => void {
  const database = new DatabaseSync(lockPath(folder))
  try {
    // A node that has just been told to stop is given a moment to let go.
    database.exec('PRAGMA busy_timeout = 2000; PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if (!isBusy(error)) throw error
    const node = readNodeFile(folder)
    const who = node ? ` (process ${node.pid}, API at ${node.addresses.api})` : ''
    throw new Complaint(
      `The data folder ${folder} is in use by another rimward${who}. Stop it, or give another --data.`,
    )
  }
  return () => database.close()
}

/** Is a node running on this folder? Looks without taking the claim, so that it never gets in the way of a start. */
export function isClaimed(folder: string): boolean {
  const path = lockPath(folder)
  if (!existsSync(path)) return false
  const database = new DatabaseSync(path, { readOnly: true })
  try {
    database.exec('PRAGMA busy_timeout = 0; SELECT 1 FROM sqlite_master')
    return false
  } catch (error) {
    if (!isBusy(error)) throw error
    return true
  } finally {
    database.close()
  }
}

/** The administrator's token: `RIMWARD_TOKEN`, else the folder's file, else a new one of 32 random bytes, mode 0600. */
export function obtainToken(folder: string, fromEnvironment: string | undefined): string {
  if (fromEnvironment !== undefined && fromEnvironment !== '') {
    if (!/^[\x21-\x7e]+$/.test(fromEnvironment))
      throw new Complaint('RIMWARD_TOKEN may hold visible ASCII characters only.')
    return fromEnvironment
  }
  const stored = readToken(folder)
  if (stored !== undefined) return stored
  const token = randomBytes(32).toString('base64url')
  try {
    writeFileSync(tokenPath(folder), `${token}\n`, { mode: 0o600, flag: 'wx' })
  } catch (error) {
    // Another command made one in between.
    const theirs = (error as NodeJS.ErrnoException).code === 'EEXIST' ? readToken(folder) : undefined
    if (theirs !== undefined) return theirs
    throw error
  }
  return token
}

/** Takes the place of the one that was made here: the platform that this folder joined has its own. */
export function keepToken(folder: string, token: string): void {
  const draft = `${tokenPath(folder)}.new`
  writeFileSync(draft, `${token}\n`, { mode: 0o600 })
  renameSync(draft, tokenPath(folder))
}

export function readToken(folder: string): string | undefined {
  if (!existsSync(tokenPath(folder))) return undefined
  chmodSync(tokenPath(folder), 0o600)
  const token = readFileSync(tokenPath(folder), 'utf8').trim()
  return token === '' ? undefined : token
}

export function writeNodeFile(folder: string, node: NodeFile): void {
  const draft = `${nodePath(folder)}.new`
  writeFileSync(draft, `${JSON.stringify(node, null, 2)}\n`)
  renameSync(draft, nodePath(folder))
}

export function readNodeFile(folder: string): NodeFile | undefined {
  if (!existsSync(nodePath(folder))) return undefined
  try {
    return nodeFile.parse(JSON.parse(readFileSync(nodePath(folder), 'utf8')))
  } catch {
    throw new Complaint(`${nodePath(folder)} is damaged; the next "rimward up" writes it anew.`)
  }
}
