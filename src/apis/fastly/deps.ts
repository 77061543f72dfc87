/** What the routes of this door are given. */
import type { Control } from '#/control/control.ts'
import type { ClientKeys, ItemStores, SecretVault } from '#/core/item-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { AccessLists, Fabric, KvStores } from '#/core/ports.ts'
import type { ProgramOutput } from '#/core/program-output.ts'
import type { SiteStats } from '#/core/site-stats.ts'
import type { TakePurge } from '#/core/tiers.ts'
import type { Clock } from '#/core/units.ts'

/** What programs keep, and what they write. */
export interface ComputeDeps {
  readonly kv: KvStores
  /** Config stores, secret stores, access lists. */
  readonly items: ItemStores
  readonly secrets: SecretVault
  readonly clientKeys: ClientKeys
  readonly accessLists: AccessLists
  readonly output: Pick<ProgramOutput, 'listen'>
}

export interface FastlyApiDeps {
  readonly control: Pick<Control, 'services' | 'snapshot' | 'stage' | 'places'>
  readonly compute: ComputeDeps
  readonly fabric: Pick<Fabric, 'bucket'>
  /** The shared cache's: resolves once nothing fetched before can answer any more. */
  readonly cache: { readonly purge: TakePurge }
  /** Of each point of presence of this process. */
  readonly stats: readonly { readonly pop: string; readonly counts: SiteStats }[]
  readonly token: string
  /** Stands for the customer. */
  readonly accountId: string
  readonly limits: Limits
  readonly clock: Clock
  /** Told of bugs: what was thrown and the call it belongs to. */
  readonly log: (message: string, error: unknown) => void
}
