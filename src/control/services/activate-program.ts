/** Activating a version that is a program: translated, proven to start, recorded and serving, or nothing of it. */
import { randomUUID } from 'node:crypto'
import { siteNameOf } from '#/core/service-site-name.ts'
import { checkFree } from '../addresses.ts'
import { Refusal } from '../refusal.ts'

import { buildDeployment, type ComputeDesign, type ProgramDesign } from './service-program.ts'
import type { ServicePart, ServiceRecord, ServiceVersionHead } from './service-records.ts'
import { headOf, hostnamesOf, readHostnames, type ServiceOffice, withHead } from './services.ts'

/** Throws a `Refusal` (`does_not_start` with the runtime's sentence, `address_taken`, `conflict`…) or what `translate` throws. */
export async function activateProgram(
  office: ServiceOffice,
  id: string,
  number: number,
  translate: (parts: readonly ServicePart[]) => ComputeDesign,
): Promise<ServiceVersionHead> {
  const { record, head, program } = await proveVersion(office, id, number, translate)
  await office.ledger.commit((state) => {
    const next = { ...withHead(unstaged(record, number), head), active: number, program }
    checkFree(state, siteNameOf(record.name), hostnamesOf(office, next), [])
    return { services: [{ id, record: next }] }
  })
  return head
}

/**
 * The version is there for who asks for it, beside the one that is active; without one there is no address to ask at.
 * Throws as `activateProgram`.
 */
export async function stageProgram(
  office: ServiceOffice,
  id: string,
  number: number,
  translate: (parts: readonly ServicePart[]) => ComputeDesign,
): Promise<ServiceVersionHead> {
  const { active } = office.held(id).record
  if (active === undefined) throw new Refusal('conflict', 'A version can be staged beside one that is active.')
  if (active === number) throw new Refusal('conflict', `Version ${number} is active.`)
  const { record, head, program } = await proveVersion(office, id, number, translate)
  await office.write({ id, record: { ...withHead(record, head), staged: { version: number, program } } })
  return head
}

export async function unstageProgram(office: ServiceOffice, id: string, number: number): Promise<ServiceVersionHead> {
  const { record } = office.held(id)
  if (record.staged?.version !== number) throw new Refusal('conflict', `Version ${number} is not staged.`)
  await office.write({ id, record: { ...unstaged(record, number), modifiedAt: office.clock() } })
  return headOf(record, number)
}

function unstaged({ staged, ...record }: ServiceRecord, number: number): ServiceRecord {
  return staged === undefined || staged.version === number ? record : { ...record, staged }
}

async function proveVersion(
  office: ServiceOffice,
  id: string,
  number: number,
  translate: (parts: readonly ServicePart[]) => ComputeDesign,
) {
  const { record } = office.held(id)
  const head = { ...headOf(record, number), locked: true, modifiedAt: office.clock() }
  const design = translate(await office.versions.parts(id, number))
  const hostnames = readHostnames(office, design)
  const program = await prove(
    office,
    { service: id, version: number, name: siteNameOf(record.name) },
    {
      ...design,
      hostnames,
      deployment: { id: randomUUID(), createdAt: office.clock(), startupMs: 0 },
    },
  )
  return { record, head, program }
}

async function prove(
  { engine }: ServiceOffice,
  placed: Parameters<typeof buildDeployment>[0],
  draft: ProgramDesign,
): Promise<ProgramDesign> {
  const proof = await engine.prove({ name: placed.name, objects: [] }, buildDeployment(placed, draft))
  if (!proof.ok) throw new Refusal('does_not_start', proof.message)
  return { ...draft, deployment: { ...draft.deployment, startupMs: proof.startupMs } }
}
