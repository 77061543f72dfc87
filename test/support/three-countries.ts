/** Three points of presence in three countries, and a search of all their files. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { type RunningNode, rimward, startNode, temporaryFolder } from './node.ts'

/** Points of presence in Germany, the United States and Japan, in one process. */
export interface Platform {
  readonly node: RunningNode
  /** URLs by name of the point of presence. */
  readonly at: Readonly<Record<'fra' | 'iad' | 'nrt', string>>
  /** The same for HTTPS; empty where that is off. */
  readonly tls: Platform['at']
  readonly folder: string
  run(...words: string[]): Promise<{ readonly code: number | null; readonly output: string }>
}

/** With logs of whole URLs. */
export async function startPlatform(
  t: Pick<TestContext, 'after'>,
  data?: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
): Promise<Platform> {
  const node = await startNode(t, {
    ...(data && { data }),
    env,
    args: ['--pops', 'fra:DE,iad:US,nrt:JP', '--log-query', 'full', ...args],
  })
  const { pops } = JSON.parse(await readFile(join(node.data, 'node.json'), 'utf8')) as {
    pops: { id: 'fra' | 'iad' | 'nrt'; http: string; https?: string }[]
  }
  const folder = await temporaryFolder(t, 'residency')
  const at = Object.fromEntries(pops.map(({ id, http }) => [id, http])) as Platform['at']
  const tls = Object.fromEntries(pops.map(({ id, https = '' }) => [id, https])) as Platform['tls']
  return { node, at, tls, folder, run: (...words) => rimward(node, folder, words) }
}

/** What the command prints; fails the test where the command fails. */
export async function ok({ run }: Platform, ...words: string[]): Promise<string> {
  const { code, output } = await run(...words)
  assert.equal(code, 0, output)
  return output
}

/** Files below a folder that hold these bytes, by their names in it. */
export async function filesWith(folder: string, marker: string): Promise<string[]> {
  const found: string[] = []
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const bytes = await readFile(path).catch(() => Buffer.alloc(0))
    if (bytes.includes(marker)) found.push(path.slice(folder.length + 1))
  }
  return found
}

/** The record of a bucket of the shared fabric, as it lies on the disk. */
export function recordIn(folder: string, bucket: string, key: string): Record<string, unknown> {
  const database = new DatabaseSync(join(folder, 'fabric.db'), { readOnly: true, timeout: 5000 })
  try {
    const row = database
      .prepare('SELECT value FROM entries WHERE bucket = ? AND CAST(key AS TEXT) = ?')
      .get(bucket, key) as { value: Uint8Array } | undefined
    assert.ok(row !== undefined, `${bucket} has ${key}`)
    return JSON.parse(Buffer.from(row.value).toString())
  } finally {
    database.close()
  }
}

/** The folder of a node. */
export const pop = ({ node }: Platform, name: string) => join(node.data, 'pops', name)
