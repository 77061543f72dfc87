/** Three points of presence in three countries, and a search of all their files. */
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
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
): Promise<Platform> {
  const node = await startNode(t, {
    ...(data && { data }),
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

/** The folder of a node. */
export const pop = ({ node }: Platform, name: string) => join(node.data, 'pops', name)
