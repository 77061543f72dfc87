/**
 * Why the control plane said no: one word a case. A refusal changes nothing; the doors map the words to the vendors' codes.
 */
export const refusalCodes = [
  'no_program',
  'no_version',
  'nothing_uploaded',
  'bad_name',
  'bad_binding',
  'name_twice',
  'too_many',
  'nothing_to_inherit',
  'no_secret',
  'no_site',
  'unsupported',
  'no_code',
  'does_not_start',
  'migration_tag',
  'migration_misfit',
  'migration_in_version',
  'class_not_exported',
  'class_abandoned',
  'class_bound',
  'object_class_unknown',
  'object_program_unknown',
  'exports_misfit',
  'exports_diverge',
  'binding_before_exports',
  'program_unknown',
  'store_unknown',
  'bad_rollout',
  'latest_not_deployed',
  'bad_address',
  'bad_cron',
  'address_taken',
  'no_resource',
  'name_taken',
  'no_service',
  'version_locked',
  'no_part',
  'bad_rule',
  'referenced',
  'misplaced',
  'conflict',
  'canary_failed',
] as const

export type RefusalCode = (typeof refusalCodes)[number]

export class Refusal extends Error {
  readonly code: RefusalCode
  /** Machine-readable particulars, e.g. one entry for each class that does not fit. */
  readonly details: readonly object[] | undefined

  /** `message` is one sentence for the person who asked: what does not fit, and what to do. */
  constructor(code: RefusalCode, message: string, details?: readonly object[]) {
    super(message)
    this.name = 'Refusal'
    this.code = code
    this.details = details
  }
}
