/**
 * Every operational failure of the platform, in one table. The doors map these codes to the vendors' numbers;
 * `docs/errors.md` documents them, and a test holds the two together.
 */
export interface ErrorRow {
  /** HTTP status that a client of the data plane sees. */
  readonly status: number
  /** Who has to act: the client, the origin's owner, the program's owner, or the operator of this platform. */
  readonly source: 'client' | 'origin' | 'program' | 'rimward'
  /** May the same request be sent again, unchanged, with a chance of success? */
  readonly retry: boolean
  /** Cloudflare's four-digit error number where its users expect one, for the page's title. */
  readonly number?: number
  readonly title: string
}

export const errorTable = {
  bad_request: { status: 400, source: 'client', retry: false, title: 'Bad request' },
  no_such_site: { status: 404, source: 'client', retry: false, title: 'No site here' },
  not_found: { status: 404, source: 'client', retry: false, title: 'Not found' },
  method_not_allowed: { status: 405, source: 'client', retry: false, title: 'Method not allowed' },
  client_timeout: { status: 408, source: 'client', retry: true, title: 'Request timed out' },
  body_too_large: { status: 413, source: 'client', retry: false, title: 'Request body too large' },
  url_too_long: { status: 414, source: 'client', retry: false, title: 'URL too long' },
  expectation_failed: { status: 417, source: 'client', retry: false, title: 'Expectation failed' },
  headers_too_large: { status: 431, source: 'client', retry: false, title: 'Request header fields too large' },
  client_gone: { status: 499, source: 'client', retry: true, title: 'Client closed the connection' },
  too_many_connections: { status: 503, source: 'client', retry: true, title: 'Too many connections' },
  request_loop: { status: 508, source: 'origin', retry: false, title: 'Request loops through this platform' },
  program_exception: { status: 500, source: 'program', retry: false, number: 1101, title: 'Program threw exception' },
  program_exceeded_limits: {
    status: 503,
    source: 'program',
    retry: false,
    number: 1102,
    title: 'Program exceeded resource limits',
  },
  program_loop: {
    status: 404,
    source: 'program',
    retry: false,
    number: 1042,
    title: 'Program fetched another program of this platform by its address',
  },
  program_start_failed: {
    status: 500,
    source: 'program',
    retry: false,
    number: 1101,
    title: 'Program failed to start',
  },
  program_hung_up: { status: 502, source: 'program', retry: true, title: 'Program ended before it answered' },
  egress_refused: { status: 403, source: 'program', retry: false, title: 'Destination not allowed' },
  origin_unresolved: { status: 530, source: 'origin', retry: true, number: 1016, title: 'Origin name not resolved' },
  origin_refused: { status: 502, source: 'origin', retry: true, title: 'Origin refused the connection' },
  origin_timeout: { status: 504, source: 'origin', retry: true, title: 'Origin timed out' },
  origin_failed: { status: 502, source: 'origin', retry: true, title: 'Origin answered wrongly' },
  origin_unhealthy: { status: 503, source: 'origin', retry: true, title: 'No origin is healthy' },
  overloaded: { status: 503, source: 'rimward', retry: true, title: 'Too busy' },
  folder_in_use: { status: 503, source: 'rimward', retry: false, title: 'Data folder in use' },
  storage_full: { status: 507, source: 'rimward', retry: true, title: 'Storage is full' },
  fabric_away: {
    status: 503,
    source: 'rimward',
    retry: true,
    title: 'What the points of presence share is out of reach',
  },
  peer_away: { status: 503, source: 'rimward', retry: true, title: 'Another point of presence is out of reach' },
  object_away: { status: 503, source: 'rimward', retry: true, title: 'A Durable Object is out of reach' },
  store_unknown: { status: 404, source: 'rimward', retry: false, title: 'No such store' },
  not_here: { status: 451, source: 'rimward', retry: false, title: 'Not served in this country' },
  internal: { status: 500, source: 'rimward', retry: true, title: 'Internal error' },
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof errorTable

/** An operational failure: known, named, and answerable. Anything else that is thrown is a bug. */
export class EdgeError extends Error {
  readonly code: ErrorCode

  /** `detail` is one sentence for the person who reads the error page: what failed, and where. */
  constructor(code: ErrorCode, detail: string, options?: ErrorOptions) {
    super(detail, options)
    this.name = 'EdgeError'
    this.code = code
  }

  get row(): ErrorRow {
    return errorTable[this.code]
  }
}

/** Anything thrown, as an EdgeError: a bug becomes `internal` and keeps its cause for the log. */
export function toEdgeError(thrown: unknown): EdgeError {
  if (thrown instanceof EdgeError) return thrown
  return new EdgeError('internal', 'An unexpected error happened inside Rimward.', { cause: thrown })
}
