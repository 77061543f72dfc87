/** Output of Compute programs among the traces of Workers, so that one stream shows either. */

import type { OutputLine, ProgramOutput } from '#/core/program-output.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import type { Trace, Traces } from '#/core/traces.ts'

/** One line is one trace; `event` is `{ output: { requestId } }`. */
export function withOutput(
  traces: Pick<Traces, 'listen'>,
  output: Pick<ProgramOutput, 'listen'>,
): Pick<Traces, 'listen'> {
  return {
    listen(program, listener) {
      const ends = [
        traces.listen(program, listener),
        output.listen(program, (line) => listener(traceOf(program, line))),
      ]
      return () => {
        for (const end of ends) end()
      }
    },
  }
}

function traceOf(program: ProgramName, { stream, requestId, at, message }: OutputLine): Trace {
  return {
    scriptName: program,
    outcome: 'ok',
    eventTimestamp: at,
    event: { output: { requestId } },
    logs: [{ message: [message], level: stream, timestamp: at }],
    exceptions: [],
  }
}
