/** What the site of a program says of answers; its addresses come with the program itself. */
import type { AnswerPolicy } from '#/core/answer-policy.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import { answerPolicySchema } from './answer-policy.ts'
import { changeErrorPages, type ErrorPagesChange } from './error-pages.ts'
import { heldProgram, type Office } from './office.ts'
import type { ProgramRecord } from './records.ts'

/** What is absent stays; null takes away. */
export interface ProgramSiteChange {
  readonly answers?: AnswerPolicy | null
  readonly errorPages?: ErrorPagesChange | null
}

/** Throws a `Refusal` (`no_program`, `too_many`). */
export async function changeProgramSite(office: Office, name: ProgramName, change: ProgramSiteChange): Promise<void> {
  await office.ledger.exclusively([name], async () => {
    const { answers: before, errorPages: pages, ...rest } = heldProgram(office, name).record
    const answers = change.answers === undefined ? before : (change.answers ?? undefined)
    const errorPages = changeErrorPages(pages, change.errorPages)
    const record: ProgramRecord = {
      ...rest,
      modifiedAt: office.clock(),
      ...(answers !== undefined && { answers: answerPolicySchema.parse(answers) }),
      ...(errorPages !== undefined && { errorPages }),
    }
    await office.ledger.commit(() => ({ programs: [{ name, record }] }))
  })
}
