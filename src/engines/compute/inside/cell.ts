/**
 * The process that runs Compute programs. It holds no client connections and no secrets but those it asks for; it knows
 * the node by one line on a unix socket. Usage: `node cell.ts SOCKET LIMITS` (JSON of `CellLimits`).
 */
import { connect } from 'node:net'
import type { LoadHead, RunHead } from '../protocol.ts'
import { asHead } from '../protocol.ts'
import { openLine } from '../wire.ts'
import { CallFailure, type InCall } from '../wire-messages.ts'
import { importsOf } from './hostcall.ts'
import { hostcallModules } from './hostcalls/table.ts'
import { linkImports } from './link-imports.ts'
import { type CellLimits, type LoadedProgram, loadProgram } from './program.ts'
import { runRequest } from './run-request.ts'
import { Sandbox } from './sandbox.ts'
import { createTurns } from './scheduler.ts'
import { startWatch } from './watch.ts'

const [, , socketPath = '', limitsText = '{}'] = process.argv
const limits = JSON.parse(limitsText) as CellLimits

const stop = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
const watch = startWatch(stop)
const turns = createTurns(watch)
const supported = importsOf(hostcallModules, turns, limits.tellCalls ? tellCalls() : undefined)
const programs = new Map<string, Promise<LoadedProgram>>()

const socket = connect(socketPath)
const line = openLine(socket, {
  frameBytes: limits.frameBytes,
  windowBytes: limits.windowBytes,
  onCall: take,
  // The node is gone, and with it everybody who waits for an answer.
  onCut: () => process.exit(0),
})

/** Each name once, before anything that the program does after it. */
function tellCalls(): (name: string) => void {
  const told = new Set<string>()
  return (name) => {
    if (told.has(name)) return
    told.add(name)
    line.call({ do: 'called', run: 0, name }, null).reply.catch(() => {})
  }
}

function take(call: InCall): void {
  const head = call.head as unknown as LoadHead | RunHead | { do: 'ping' } | { do: 'unload'; program: string }
  if (head.do === 'run') run(call, head)
  else if (head.do === 'load') load(call, head)
  else if (head.do === 'unload') {
    programs.delete(head.program)
    call.reply({ head: {}, body: null })
  } else call.reply({ head: asHead({ memory: process.memoryUsage().rss }), body: null })
}

function load(call: InCall, { program, module, facts }: LoadHead): void {
  const loading = loadProgram(program, module, facts, (compiled) => linkImports(compiled, supported, stop, turns))
  programs.set(program, loading)
  loading.then(
    () => call.reply({ head: {}, body: null }),
    (error: Error) => {
      programs.delete(program)
      call.fail(new CallFailure('program_start_failed', error.message))
    },
  )
}

function run(call: InCall, head: RunHead): void {
  const loading = programs.get(head.program)
  if (loading === undefined) {
    call.fail(new CallFailure('not_loaded', head.program))
    return
  }
  loading.then(
    (program) => runRequest(new Sandbox({ program, line, call, run: head, limits }), turns),
    (error: Error) => call.fail(new CallFailure('program_start_failed', error.message)),
  )
}
