/** What a host call answers: the numbers of `fastly_status` in the public ABI (compute-at-edge-abi/typenames.witx). */
export const status = {
  ok: 0,
  error: 1,
  invalidArgument: 2,
  badHandle: 3,
  bufferTooSmall: 4,
  unsupported: 5,
  badAlignment: 6,
  httpInvalid: 7,
  httpUser: 8,
  httpIncomplete: 9,
  none: 10,
  httpHeadTooLarge: 11,
  httpInvalidStatus: 12,
  limitExceeded: 13,
  again: 14,
} as const

export type Status = (typeof status)[keyof typeof status]

/** Thrown within a host call: it answers this status. */
export class HostcallError extends Error {
  readonly status: Status
  constructor(code: Status, message = '') {
    super(message)
    this.name = 'HostcallError'
    this.status = code
  }
}

export function refuse(code: Status, message?: string): never {
  throw new HostcallError(code, message)
}
