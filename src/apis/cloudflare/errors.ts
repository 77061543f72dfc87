/**
 * Our words for trouble, as Cloudflare's status and number. Numbers marked «seen» stand in public reports of Cloudflare's own
 * answers or in wrangler, which branches on some of them; the others are ours, near those.
 */

import { Refusal, type RefusalCode } from '#/control/refusal.ts'
import { EdgeError } from '#/core/errors.ts'
import { VendorError } from './envelope.ts'

interface VendorRow {
  readonly status: number
  readonly code: number
}

export const refusalTable = {
  no_program: { status: 404, code: 10007 }, // seen
  no_version: { status: 404, code: 10025 },
  nothing_uploaded: { status: 404, code: 10222 }, // seen
  no_site: { status: 404, code: 10007 },
  bad_name: { status: 400, code: 10016 },
  bad_binding: { status: 400, code: 10021 }, // seen
  name_twice: { status: 400, code: 10053 }, // seen
  too_many: { status: 400, code: 10037 },
  nothing_to_inherit: { status: 400, code: 10057 }, // seen
  no_secret: { status: 404, code: 10056 },
  unsupported: { status: 400, code: 10501 },
  no_code: { status: 400, code: 10021 }, // seen
  does_not_start: { status: 400, code: 10021 }, // seen
  migration_tag: { status: 412, code: 10079 }, // seen
  migration_misfit: { status: 400, code: 10074 }, // seen
  migration_in_version: { status: 400, code: 10211 }, // seen
  class_not_exported: { status: 400, code: 10070 },
  class_abandoned: { status: 400, code: 10064 }, // seen
  class_bound: { status: 400, code: 10061 }, // seen
  object_class_unknown: { status: 400, code: 10061 }, // seen
  object_program_unknown: { status: 400, code: 10061 }, // seen
  exports_misfit: { status: 400, code: 100402 }, // seen
  exports_diverge: { status: 400, code: 100405 }, // seen
  binding_before_exports: { status: 400, code: 100406 }, // seen
  program_unknown: { status: 400, code: 10143 }, // seen
  store_unknown: { status: 400, code: 10041 },
  bad_rollout: { status: 400, code: 10221 },
  latest_not_deployed: { status: 400, code: 10215 }, // seen
  bad_address: { status: 400, code: 10022 },
  bad_cron: { status: 400, code: 10100 }, // seen
  address_taken: { status: 409, code: 10020 }, // seen
  no_service: { status: 404, code: 10007 },
  version_locked: { status: 409, code: 10040 },
  no_resource: { status: 404, code: 10007 },
  name_taken: { status: 409, code: 10014 },
  no_part: { status: 404, code: 10007 },
  bad_rule: { status: 400, code: 10021 },
  misplaced: { status: 409, code: 10021 },
  referenced: { status: 409, code: 10066 },
  conflict: { status: 409, code: 10040 },
  canary_failed: { status: 409, code: 10040 },
} as const satisfies Record<RefusalCode, VendorRow>

/** Numbers for trouble that only the door knows. */
export const doorTable = {
  authentication: { status: 403, code: 10000 }, // seen
  invalidToken: { status: 401, code: 1000 }, // seen
  otherAccount: { status: 403, code: 9109 }, // seen
  unknownCall: { status: 404, code: 7003 }, // seen
  serviceMissing: { status: 404, code: 10090 }, // seen
  badRequest: { status: 400, code: 10001 },
  unreadableBody: { status: 400, code: 10026 }, // seen
  badMultipart: { status: 400, code: 10002 },
  badMetadata: { status: 400, code: 10003 },
  unsupported: refusalTable.unsupported,
  bindingWithoutName: { status: 400, code: 10052 }, // seen
  invalidUpload: { status: 400, code: 10021 }, // seen
  tooLarge: { status: 413, code: 10027 }, // seen
  internal: { status: 500, code: 10013 }, // seen
} as const satisfies Record<string, VendorRow>

export function doorError(what: keyof typeof doorTable, message: string): VendorError {
  const { status, code } = doorTable[what]
  return new VendorError(status, code, message)
}

/** Anything thrown by a route as what the client is told; `undefined` for a bug, which is logged and told as 10013. */
export function toVendorError(thrown: unknown): VendorError | undefined {
  if (thrown instanceof VendorError) return thrown
  if (thrown instanceof Refusal) {
    const { status, code } = refusalTable[thrown.code]
    return new VendorError(status, code, thrown.message, thrown.details && { details: thrown.details })
  }
  if (thrown instanceof EdgeError && thrown.row.source !== 'rimward')
    return new VendorError(400, doorTable.invalidUpload.code, thrown.message)
  if (thrown instanceof EdgeError && thrown.code !== 'internal')
    return new VendorError(thrown.row.status, doorTable.internal.code, thrown.message)
  return undefined
}
