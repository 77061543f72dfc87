/** The fabric's writing thread. */
import type { GroupCommit } from '#/core/group-commit.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import { openGroupCommit } from './group-commit.ts'
import type { Answer, Operation, WriterData } from './operations.ts'

export type Writer = GroupCommit<Operation, Answer>

/** Rejects when the database cannot be opened. */
export function openWriter(file: string, clock: Clock, limits: Limits): Promise<Writer> {
  const data: WriterData = { file, limitBytes: limits.fabricBytes }
  return openGroupCommit({
    module: new URL('./operations.ts', import.meta.url),
    data,
    name: 'fabric',
    sizeOf: (operation) => (operation.kind === 'put' ? operation.value.byteLength : 0),
    clock,
    limits,
  })
}
