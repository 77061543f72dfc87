/** What programs write: standard streams to the node's log and to who follows them, lines of endpoints to the endpoints. */
import type { LogEndpoint } from '#/core/compute.ts'
import type { ProgramOutput } from '#/core/program-output.ts'
import type { Clock } from '#/core/units.ts'
import type { HostCalls, HostRun } from './host-calls.ts'
import { textOf } from './host-stores.ts'
import type { LogSinks } from './log-sinks.ts'
import type { Reply } from './wire-messages.ts'

export interface LogParts {
  /** The node's log. */
  readonly log: (message: string, facts?: object) => void
  readonly output?: Pick<ProgramOutput, 'write'>
  readonly sinks: Pick<LogSinks, 'write'>
  readonly clock: Clock
}

const done: Reply = { head: {}, body: null }

export function logCalls({ log, output, sinks, clock }: LogParts): HostCalls {
  /** An endpoint that the service does not define writes where `log` endpoints do: nothing is lost in silence. */
  function endpointOf({ deployment }: HostRun, name: string): LogEndpoint {
    return deployment.compute.logs.find((endpoint) => endpoint.name === name) ?? { kind: 'log', name }
  }

  function tell({ program, request }: HostRun, stream: string, message: string): void {
    output?.write(program.name, { stream, requestId: request.id, at: clock(), message })
  }

  return {
    print(run, head) {
      const [stream, message] = [textOf(head, 'stream'), textOf(head, 'message')]
      log('program says', { program: run.program.name, ray: run.request.id, stream, line: message })
      tell(run, stream, message)
      return done
    },
    log(run, head, { body }) {
      const endpoint = endpointOf(run, textOf(head, 'endpoint'))
      const message = Buffer.from(body instanceof Uint8Array ? body : []).toString()
      const { program, request } = run
      if (endpoint.kind === 'log')
        log('program says', { program: program.name, ray: request.id, endpoint: endpoint.name, line: message })
      else sinks.write({ program: program.name, endpoint, requestId: request.id, at: clock(), message })
      tell(run, endpoint.name, message)
      return done
    },
  }
}
