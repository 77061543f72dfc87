/** What the routes of this door are given. */
import { createHash } from 'node:crypto'
import type { Hono } from 'hono'
import type { Control } from '#/control/control.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import type { ResolveAssets } from './read-upload.ts'

/** Where people reach programs, for the addresses that wrangler prints. */
export interface DataPlaneAddress {
  readonly httpPort: number
  readonly httpsPort?: number
}

export interface CloudflareApiDeps {
  readonly control: Control
  /** Routers of other rooms; their paths start at `/accounts/:account/…`. */
  readonly kvRoutes?: Hono
  /** Of bindings: databases, buckets, queues and the like. */
  readonly bindingRoutes?: readonly Hono[]
  readonly assetsRoutes?: Hono
  readonly tailsRoutes?: Hono
  /** Its paths start at `/zones/:zone`. */
  readonly purgeRoutes?: Hono
  /** Absent: uploads with assets are refused. */
  readonly resolveAssets?: ResolveAssets
  readonly token: string
  readonly accountId: string
  readonly dataPlane: DataPlaneAddress
  readonly limits: Limits
  readonly clock: Clock
  /** Told of bugs: what was thrown and the call it belongs to. */
  readonly log: (message: string, error: unknown) => void
}

/** Stable ids for things that have none of their own here: 32 hex digits of what they are. */
export function idOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
