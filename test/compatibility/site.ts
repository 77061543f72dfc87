/** What the stories of the compatibility page are told on: a running node, with the check Worker deployed twice. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RunningNode } from '../support/node.ts'

export interface Site {
  readonly node: RunningNode
  readonly folder: string
  /** Folders of the check Worker: deployed as `compat` (shared cell) and `compat-objects` (own cell). */
  readonly shared: string
  readonly own: string
}

/** Rejects where what the page says is not so. */
export type Story = (site: Site) => Promise<void>

/** Writes a Worker of one module, ready to be deployed; returns its folder. */
export function small(site: Site, name: string, code: string, config: Record<string, unknown> = {}): string {
  const path = join(site.folder, name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'index.js'), code)
  writeFileSync(
    join(path, 'wrangler.jsonc'),
    JSON.stringify({ name, main: 'index.js', compatibility_date: '2026-10-01', ...config }),
  )
  return path
}
