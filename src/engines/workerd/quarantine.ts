/** Programs that were in flight when a cell hung or died run here, each in a cell alone, until they are cleared. */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Deployment, DeploymentId } from '#/core/snapshot.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { CellFailure } from './cell-failure.ts'
import type { SharedCell } from './shared-cell.ts'

export interface Quarantine {
  /** Does this program have to run alone now? */
  holds(deployment: DeploymentId): boolean
  /** From now on it runs alone: it hung a cell, or was there when one hung. */
  hold(deployment: DeploymentId): void
  /** `ask` is given a cell that nobody else has. */
  run<Result>(deployment: Deployment, ask: (cell: SharedCell) => Promise<Result>): Promise<Result>
  close(): void
}

interface Ward {
  cell: Promise<SharedCell> | undefined
  until: EpochMs
}

export interface QuarantineOptions {
  readonly takeSpare: () => Promise<SharedCell>
  readonly limits: Pick<Limits, 'suspectMs' | 'quarantineCells'>
  readonly clock: Clock
}

/** Wards are as many as `quarantineCells`; the one whose time ends first makes room for a new one. */
export function createQuarantine({ takeSpare, limits, clock }: QuarantineOptions): Quarantine {
  const wards = new Map<DeploymentId, Ward>()

  function release(deployment: DeploymentId, ward: Ward): void {
    wards.delete(deployment)
    ward.cell?.then(
      (cell) => cell.drop(),
      () => {},
    )
  }

  function hold(deployment: DeploymentId): Ward {
    const old = wards.get(deployment)
    if (old !== undefined) return old
    if (wards.size >= limits.quarantineCells) {
      const first = [...wards].sort((one, other) => one[1].until - other[1].until)[0]!
      release(...first)
    }
    const ward: Ward = { cell: undefined, until: clock() + limits.suspectMs }
    wards.set(deployment, ward)
    return ward
  }

  function empty(ward: Ward, cell: Promise<SharedCell>): void {
    if (ward.cell === cell) ward.cell = undefined
  }

  function cellOf(ward: Ward): Promise<SharedCell> {
    if (ward.cell !== undefined) return ward.cell
    const taken = takeSpare()
    ward.cell = taken
    taken.then(
      (cell) => void cell.gone.then(() => empty(ward, taken)),
      () => empty(ward, taken),
    )
    return taken
  }

  return {
    holds(deployment) {
      const ward = wards.get(deployment)
      if (ward === undefined) return false
      if (clock() < ward.until) return true
      release(deployment, ward)
      return false
    },
    hold: (deployment) => void hold(deployment),
    async run(deployment, ask) {
      const ward = hold(deployment.id)
      const taken = cellOf(ward)
      const cell = await taken
      try {
        return await ask(cell)
      } catch (failure) {
        if (!(failure instanceof CellFailure)) throw failure
        // The connection breaks a moment before the process is seen to have ended.
        empty(ward, taken)
        cell.drop()
        ward.until = clock() + limits.suspectMs
        const what = cell.hung ? 'used the processor without end' : 'ended its process'
        throw new EdgeError('program_exceeded_limits', `${deployment.program} ${what}.`, { cause: failure })
      }
    },
    close() {
      for (const [deployment, ward] of wards) release(deployment, ward)
    },
  }
}
