/**
 * Runs a program once for nobody, so that V8 has compiled what it calls before the first client waits. Nothing of the run
 * leaves the cell: it ends at the first host call that asks the node for something or that would wait, its answer and its
 * lines go nowhere, its instance is thrown away, and how it ends does not matter.
 */
import type { RunHead } from '../protocol.ts'
import { OutBody } from '../wire-body.ts'
import { type Line, silentCall } from '../wire-messages.ts'
import type { CellLimits, LoadedProgram } from './program.ts'
import { runProgram } from './run-request.ts'
import { Sandbox } from './sandbox.ts'
import type { Turns } from './scheduler.ts'

const request: RunHead = {
  program: '',
  run: 0,
  requestId: '0000000000000000',
  method: 'GET',
  uri: 'http://localhost/',
  headers: ['host', 'localhost'],
  client: { address: '127.0.0.1', port: 0, serverAddress: '127.0.0.1', httpVersion: '1.1' },
  originalNames: ['host'],
}

/** A program that waits is not woken with what it waits for. */
class Rehearsal extends Sandbox {
  override flush(): void {
    setImmediate(() => {
      this.end('time')
      this.wake?.()
    })
  }
}

/** Takes one turn, of the processor time of a request without `warmUpMs`. Never rejects. */
export async function rehearse(program: LoadedProgram, turns: Turns, limits: CellLimits): Promise<void> {
  const sandbox: Sandbox = new Rehearsal({
    // No request of a client may come to this instance, nor does it come back.
    program: { ...program, requests: Number.POSITIVE_INFINITY, waiting: new Set(), give() {} },
    line: nowhere(() => sandbox.end('time')),
    call: silentCall(request),
    run: request,
    limits,
  })
  await runProgram(sandbox, turns).catch(() => {})
  sandbox.end('time')
  sandbox.finish()
}

const nobody = { data() {}, end() {}, fail() {} }

/** Says nothing and is never answered; who asks ends. */
function nowhere(end: () => void): Line {
  const call = { reply: new Promise<never>(() => {}), note() {}, cancel() {} }
  return {
    call(_head, body) {
      end()
      return { ...call, out: body === 'stream' ? new OutBody(Number.POSITIVE_INFINITY, nobody) : undefined }
    },
    tell() {},
    waitsSince: undefined,
    flush() {},
    close() {},
  }
}
