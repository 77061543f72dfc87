/** What people and programs are told of instances, in the vendor's words. */
import type { DatabaseSync } from 'node:sqlite'
import type { EpochMs } from '#/core/units.ts'
import type { ToldError } from './run-steps.ts'
import type { InstanceRow, Status, StepRow } from './schema.ts'

export interface InstanceHead {
  readonly id: string
  readonly status: Status
  readonly created: EpochMs
  readonly modified: EpochMs
  readonly started: EpochMs | null
  readonly ended: EpochMs | null
}

export interface StepLog extends Pick<StepRow, 'type' | 'name' | 'count' | 'started' | 'ended' | 'state' | 'due'> {
  readonly config: object | null
  readonly output: string | null
  readonly error: ToldError | null
  readonly attempts: readonly {
    readonly started: EpochMs
    readonly ended: EpochMs | null
    readonly error: ToldError | null
  }[]
}

export interface InstanceLog extends InstanceHead {
  readonly params: string
  readonly source: InstanceRow['source']
  readonly output: string | null
  readonly error: ToldError | null
  readonly steps: readonly StepLog[]
}

export interface ListWish {
  readonly status?: string
  readonly per: number
  /** From here on; the newest come first. */
  readonly offset: number
}

export interface ReadInstances {
  status(instance: InstanceRow): { status: Status; output: string | null; error?: ToldError }
  describe(instance: InstanceRow): InstanceLog
  list(wish: ListWish): { readonly instances: readonly InstanceHead[]; readonly total: number }
  /** How many there are of each status. */
  counts(): Readonly<Record<string, number>>
}

const headOf = ({ id, status, created, modified, started, ended }: InstanceRow): InstanceHead => ({
  ...{ id, status, created, modified, started, ended },
})
const parsed = <Value>(text: string | null) => (text === null ? null : (JSON.parse(text) as Value))

export function createReadInstances(database: DatabaseSync): ReadInstances {
  const steps = database.prepare('SELECT * FROM steps WHERE instance = ? ORDER BY number')
  const attempts = database.prepare('SELECT * FROM attempts WHERE step = ? ORDER BY attempt')
  const list = database.prepare(
    'SELECT * FROM instances WHERE status = coalesce(:status, status) ORDER BY number DESC LIMIT :per OFFSET :offset',
  )
  const count = database.prepare('SELECT count(*) AS total FROM instances WHERE status = coalesce(?, status)')
  const byStatus = database.prepare('SELECT status, count(*) AS total FROM instances GROUP BY status')

  function stepLog(step: StepRow): StepLog {
    const { number, type, name, count, started, ended, state, due, config, output, error } = step
    const tries = attempts.all(number) as unknown as { started: number; ended: number | null; error: string | null }[]
    return {
      ...{ type, name, count, started, ended, state, due, output },
      config: parsed<object>(config),
      error: parsed<ToldError>(error),
      attempts: tries.map((one) => ({ started: one.started, ended: one.ended, error: parsed<ToldError>(one.error) })),
    }
  }

  return {
    status({ status, output, error }) {
      const told = parsed<ToldError>(error)
      return { status, output, ...(told && { error: told }) }
    },
    describe(instance) {
      const { params, source, output, error, number } = instance
      const rows = steps.all(number) as unknown as StepRow[]
      const told = parsed<ToldError>(error)
      return { ...headOf(instance), params, source, output, error: told, steps: rows.map(stepLog) }
    },
    list({ status, per, offset }) {
      const rows = list.all({ status: status ?? null, per, offset }) as unknown as InstanceRow[]
      const { total } = count.get(status ?? null) as unknown as { total: number }
      return { instances: rows.map(headOf), total }
    },
    counts() {
      const rows = byStatus.all() as unknown as { status: string; total: number }[]
      return Object.fromEntries(rows.map((row) => [row.status, row.total]))
    },
  }
}
