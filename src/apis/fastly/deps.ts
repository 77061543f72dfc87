/** What the routes of this door are given. */
import type { Control } from '#/control/control.ts'
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'

export interface FastlyApiDeps {
  readonly control: Pick<Control, 'services' | 'snapshot'>
  /** The shared cache's: resolves once nothing fetched before can answer any more. */
  readonly cache: { purge(wishes: readonly PurgeWish[]): Promise<void> }
  readonly token: string
  /** Stands for the customer. */
  readonly accountId: string
  readonly limits: Limits
  readonly clock: Clock
  /** Told of bugs: what was thrown and the call it belongs to. */
  readonly log: (message: string, error: unknown) => void
}
