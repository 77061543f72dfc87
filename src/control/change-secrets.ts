/** Secrets: a change makes a new version of the program with the same code, as on Cloudflare. */
import { randomUUID } from 'node:crypto'
import type { Binding, ProgramName } from '#/core/snapshot.ts'
import { type BindingRequest, resolveBindings } from './bindings.ts'
import {
  heldProgram,
  heldVersion,
  newRollout,
  type Office,
  proveVersion,
  settle,
  withRollout,
  withVersion,
} from './office.ts'
import { kindOf, placeVersion } from './place-versions.ts'
import { programWithin } from './placements.ts'
import type { ProgramRecord, VersionRecord } from './records.ts'
import { Refusal } from './refusal.ts'

export interface SecretChange {
  /** New text by name; null removes. */
  readonly secrets: Readonly<Record<string, string | null>>
  readonly message?: string
  readonly tag?: string
  readonly source: string
}

/**
 * `deploy: true` lets the new version serve, and asks that the latest version serves now, so that a version which was
 * only uploaded does not go live with somebody's secret. Throws a `Refusal` (`latest_not_deployed`, `no_secret`, `name_twice`…).
 */
export async function changeSecrets(
  office: Office,
  name: ProgramName,
  change: SecretChange,
  { deploy }: { readonly deploy: boolean },
): Promise<{ program: ProgramRecord; version: VersionRecord }> {
  return office.ledger.exclusively([name], async () => {
    await office.ledger.upToDate()
    const { record } = heldProgram(office, name)
    const latest = await heldVersion(office, record)
    if (deploy) checkLatestServes(record)
    const { message: _message, tag: _tag, ...kept } = latest
    const draft = await placeVersion(
      office,
      {
        ...kept,
        id: randomUUID(),
        number: record.nextNumber,
        createdAt: office.clock(),
        source: change.source,
        bindings: changedBindings(office, latest, change.secrets),
        ...(change.message !== undefined && { message: change.message }),
        ...(change.tag !== undefined && { tag: change.tag }),
      },
      programWithin(office.ledger.state, name),
    )
    const version = await proveVersion(office, draft, record.objects)
    const stored = withVersion(office, record, version)
    const rollout = newRollout(office, change.source, [{ version: version.id, percent: 100 }], change.message)
    const next = deploy ? withRollout(office, stored, rollout) : stored
    await settle(office, version, next)
    return { program: next, version }
  })
}

function checkLatestServes(record: ProgramRecord): void {
  const parts = record.rollouts[0]?.parts ?? []
  if (parts.length === 1 && parts[0]!.version === record.versions[0]) return
  throw new Refusal(
    'latest_not_deployed',
    `The latest version of '${record.name}' is not the one deployed to all traffic, so its secrets cannot be changed in place.`,
  )
}

function changedBindings(office: Office, latest: VersionRecord, secrets: SecretChange['secrets']): Binding[] {
  const before = latest.bindings as Binding[]
  const added: BindingRequest[] = []
  for (const [name, text] of Object.entries(secrets)) {
    const existing = before.find((binding) => binding.name === name)
    const kind = existing && kindOf(existing)
    if (text === null && kind !== 'secret') throw new Refusal('no_secret', `There is no secret '${name}'.`)
    if (kind !== undefined && kind !== 'secret')
      throw new Refusal(
        'name_twice',
        `Binding name '${name}' already in use. Please use a different name and try again.`,
      )
    if (text !== null) added.push({ kind: 'secret', name, text })
  }
  const kept = before
    .filter((binding) => !(binding.name in secrets))
    .map((binding): BindingRequest => ({ kind: 'inherit', name: binding.name }))
  return resolveBindings({ bindings: [...kept, ...added], keep: [] }, before, office.seal, office.limits)
}
