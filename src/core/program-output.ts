/** What programs write for people: standard output and error, and endpoints that they open by name. The port only. */
import type { ProgramName } from './snapshot.ts'
import type { EpochMs } from './units.ts'

export interface OutputLine {
  /** `stdout`, `stderr`, or the name of an endpoint. */
  readonly stream: string
  /** Of the request that the program was answering. */
  readonly requestId: string
  readonly at: EpochMs
  /** Without the newline that ended it. */
  readonly message: string
}

export interface ProgramOutput {
  /** Is anybody listening? Cheap: asked on the request path. */
  wanted(program: ProgramName): boolean
  /** Never throws and never waits; lost where nobody listens. */
  write(program: ProgramName, line: OutputLine): void
  /** Called outside of the request that wrote the line. Returns the end of listening. */
  listen(program: ProgramName, listener: (line: OutputLine) => void): () => void
}
