/** Where a store may lie: by its own setting, and by that of the program that it belongs to. */
import type { Within } from './pops.ts'
import { intersect } from './residency.ts'
import { resourceOf } from './resources.ts'
import type { ProgramName, Snapshot } from './snapshot.ts'

/** Undefined: anywhere. A workflow is part of its program, as its classes of Durable Objects are. */
export function withinOfStore(snapshot: Snapshot, id: string): Within | undefined {
  const { placements, programs } = snapshot
  // Most platforms keep nothing anywhere.
  if (placements === undefined) return undefined
  const program = programOfWorkflow(snapshot, id)
  return intersect(placements.get(id), program === undefined ? undefined : programs.get(program)?.within)
}

function programOfWorkflow(snapshot: Snapshot, id: string): ProgramName | undefined {
  const workflow = resourceOf(snapshot, 'workflow', id)
  return workflow && String(workflow.settings.program)
}
