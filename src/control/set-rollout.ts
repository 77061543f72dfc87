/** Which versions serve, and how much of the traffic each: a deploy, a gradual rollout, a roll-back. */
import type { ProgramName } from '#/core/snapshot.ts'
import type { Forgetting } from './forget-objects.ts'
import { reconcileObjects, sameDeclaration } from './object-classes.ts'
import {
  checkBound,
  checkExported,
  heldProgram,
  heldVersion,
  newRollout,
  type Office,
  objectWorld,
  settle,
  withRollout,
} from './office.ts'
import type { ProgramRecord, RolloutRecord, VersionRecord } from './records.ts'
import { Refusal } from './refusal.ts'

export interface RolloutWish {
  readonly parts: readonly { readonly version: string; readonly percent: number }[]
  readonly message?: string
  readonly source: string
}

/** Throws a `Refusal` (`bad_rollout`, `no_version`, `class_abandoned`, `exports_*`…); what served goes on serving then. */
export async function setRollout(
  office: Office,
  forgetting: Forgetting,
  name: ProgramName,
  wish: RolloutWish,
): Promise<{ program: ProgramRecord; rollout: RolloutRecord }> {
  checkParts(wish.parts, office.limits.rolloutParts)
  return office.ledger.exclusively([name], async () => {
    const { record } = heldProgram(office, name)
    const versions = await Promise.all(wish.parts.map((part) => heldVersion(office, record, part.version)))
    const declared = agreedDeclaration(versions)
    const change = declared && reconcileObjects(objectWorld(office, record), declared)
    const objects = change?.objects ?? record.objects
    for (const version of versions) {
      await checkBound(office, name, version, objects)
      checkExported(version, objects, record.objects)
    }
    const rollout = newRollout(
      office,
      wish.source,
      wish.parts.map(({ version, percent }) => ({ version, percent })),
      wish.message,
    )
    const next = { ...withRollout(office, record, rollout), objects: [...objects] }
    await forgetting.note(change?.removed ?? [])
    await settle(office, undefined, next)
    await forgetting.run(office.ledger.state)
    return { program: next, rollout }
  })
}

function checkParts(parts: RolloutWish['parts'], most: number): void {
  const bad = (why: string) => new Refusal('bad_rollout', `The deployment ${why}.`)
  if (parts.length === 0) throw bad('names no version')
  if (parts.length > most) throw bad(`names ${parts.length} versions, more than the ${most} allowed`)
  if (new Set(parts.map((part) => part.version)).size < parts.length) throw bad('names a version twice')
  for (const { version, percent } of parts)
    if (!(percent >= 0 && percent <= 100)) throw bad(`gives version '${version}' ${percent} %, which is not 0 to 100`)
  const sum = parts.reduce((total, part) => total + part.percent, 0)
  if (Math.abs(sum - 100) > 0.001) throw bad(`adds up to ${Number(sum.toFixed(3))} %, not to 100`)
}

/** Versions that share traffic share the program's objects, so they must declare the same classes. */
function agreedDeclaration(versions: readonly VersionRecord[]): VersionRecord['declaredObjects'] {
  const first = versions[0]!
  for (const version of versions)
    if (!sameDeclaration(first.declaredObjects, version.declaredObjects))
      throw new Refusal(
        'exports_diverge',
        `Versions ${first.number} and ${version.number} declare different Durable Object classes in exports. Deploy the one that changes them at 100 % first.`,
      )
  return first.declaredObjects
}
