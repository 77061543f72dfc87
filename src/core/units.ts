/**
 * Units that a number carries in its type. A `Seconds` given where `EpochMs` is wanted fails to compile.
 */
export type Seconds = number & { readonly unit?: 's' }
export type Milliseconds = number & { readonly unit?: 'ms' }
/** Milliseconds since 1970-01-01T00:00:00Z, wall clock. */
export type EpochMs = number & { readonly unit?: 'epoch-ms' }
/** Unix time. */
export type EpochSeconds = number & { readonly unit?: 'epoch-s' }
export type Bytes = number & { readonly unit?: 'bytes' }

/** The clock is handed over, so that decisions can be tested at any time of day. */
export type Clock = () => EpochMs
