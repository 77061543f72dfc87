/** What programs in cells ask of this node: one function a name. The node decides by its own records, never by the cell's word. */
import type { ComputeCode } from '#/core/compute.ts'
import type { Answer } from '#/core/exchange.ts'
import type { ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import type { Head, InCall, Reply } from './wire-messages.ts'

/** The request on whose behalf a cell calls. */
export interface HostRun {
  readonly program: Program
  readonly deployment: Deployment & { readonly compute: ComputeCode }
  readonly request: ProgramRequest
  /** Aborted when the request is over; made when it is first asked for. */
  readonly signal: AbortSignal
  /** This answer goes to the client, whatever the cell says: its connection was given to a backend. */
  handOver(answer: Answer): void
}

/** Throws an `EdgeError` or `CallFailure`; undefined where the call was answered through `call` itself. */
export type HostCall = (run: HostRun, head: Head, call: InCall) => Promise<Reply | undefined> | Reply | undefined

export type HostCalls = Readonly<Record<string, HostCall>>
