/**
 * The process that runs Compute programs. It holds no client connections and no secrets but those it asks for; it knows
 * the node by one line on a unix socket. Usage: `node cell.ts SOCKET LIMITS` (JSON of `CellLimits`).
 */
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import type { CellHead, LoadHead, RunHead } from '../protocol.ts'
import { asHead } from '../protocol.ts'
import { unpackRun } from '../request-heads.ts'
import { Slots } from '../slots.ts'
import { openPageScan } from '../wasm/scan-pages.ts'
import { openLine } from '../wire.ts'
import { CallFailure, type InCall } from '../wire-messages.ts'
import { type CompiledCode, createCode } from './compiled-code.ts'
import { importsOf } from './hostcall.ts'
import { hostcallModules } from './hostcalls/table.ts'
import { linkImports } from './link-imports.ts'
import { prepare } from './prepare.ts'
import { type CellLimits, type LoadedProgram, loadProgram, type Workshop } from './program.ts'
import { rehearse } from './rehearse.ts'
import { runRequest } from './run-request.ts'
import { Sandbox } from './sandbox.ts'
import { createTurns } from './scheduler.ts'
import { startWatch } from './watch.ts'

const [, , socketPath = '', limitsText = '{}'] = process.argv
const limits = JSON.parse(limitsText) as CellLimits

const stop = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true })
const watch = startWatch(stop)
/** A program that takes longer keeps nobody's answer waiting; shorter ones share a write. */
const longTurnMs = 0.3
const turns = createTurns(watch, (expectedMs) => {
  const since = line.waitsSince
  if (since !== undefined && (expectedMs > longTurnMs || performance.now() - since > longTurnMs)) line.flush()
})
const supported = importsOf(hostcallModules, turns, limits.tellCalls ? tellCalls() : undefined)
const programs = new Map<string, Promise<LoadedProgram>>()
/** When each program was asked for last, ms. */
const lastUse = new Map<string, number>()
const compiled = new Map<string, Promise<CompiledCode>>()
const pages = openPageScan({ computeDropPages: limits.dropPages })

const workshop: Workshop = {
  stop,
  compile(file) {
    const known = compiled.get(file)
    if (known !== undefined) return known
    const compiling = compileFile(file)
    compiled.set(file, compiling)
    compiling.catch(() => compiled.delete(file))
    return compiling
  },
  scan: pages.ok ? pages.scan : undefined,
  limits,
  beforeCleaning: () => line.flush(),
}

const line = openLine(connect(socketPath), {
  frameBytes: limits.frameBytes,
  windowBytes: limits.windowBytes,
  onCall: take,
  // The node is gone, and with it everybody who waits for an answer.
  onCut: () => process.exit(0),
})

const running = new Slots<Sandbox>()
setInterval(
  () => {
    const before = performance.now() - limits.wallMs
    for (const sandbox of running.all()) if (sandbox.startedAt < before) sandbox.end('time')
  },
  Math.min(1000, limits.wallMs / 4),
).unref()

setInterval(() => {
  const before = performance.now() - limits.idleMs
  for (const [id, at] of lastUse)
    if (at < before) {
      lastUse.delete(id)
      programs.get(id)?.then(
        (program) => program.rest(),
        () => {},
      )
    }
}, limits.idleMs).unref()

async function compileFile(file: string): Promise<CompiledCode> {
  const module = await WebAssembly.compile(await readFile(file))
  return createCode(module, linkImports(module, supported, turns))
}

/** Each name once, before anything that the program does after it. */
function tellCalls(): (name: string) => void {
  const told = new Set<string>()
  return (name) => {
    if (told.has(name)) return
    told.add(name)
    line.tell({ do: 'called', run: 0, name })
  }
}

function take(call: InCall): void {
  if (call.packed !== undefined) {
    run(call, unpackRun(call.packed))
    return
  }
  const head = call.head as unknown as CellHead
  if (head.do === 'load') answer(call, head.rehearse ? loadAndRehearse(head) : load(head))
  else if (head.do === 'prepare') answer(call, prepare(head, stop, watch))
  else if (head.do === 'unload') {
    programs.get(head.program)?.then(
      (program) => program.rest(),
      () => {},
    )
    programs.delete(head.program)
    lastUse.delete(head.program)
    answer(call, Promise.resolve())
  } else if (head.do === 'dictionaries')
    answer(
      call,
      programs.get(head.program)?.then((program) => program.setDictionaries(head.dictionaries)),
    )
  else
    call.reply({ head: asHead({ memory: process.memoryUsage().rss, pages: pages.ok ? true : pages.why }), body: null })
}

function answer(call: InCall, work: Promise<unknown> | undefined): void {
  Promise.resolve(work).then(
    () => call.reply({ head: {}, body: null }),
    (error: Error) => {
      call.fail(error instanceof CallFailure ? error : new CallFailure('program_start_failed', error.message))
    },
  )
}

function load({ program, sheet, facts }: LoadHead): Promise<LoadedProgram> {
  const loading = loadProgram(program, sheet, facts, workshop)
  // Where it fails, requests that are behind hear why, until the node says `unload`.
  programs.set(program, loading)
  return loading
}

async function loadAndRehearse(head: LoadHead): Promise<void> {
  await rehearse(await load(head), turns, limits)
}

function run(call: InCall, head: RunHead): void {
  lastUse.set(head.program, performance.now())
  const loading = programs.get(head.program)
  if (loading === undefined) {
    refuse(call, head, new CallFailure('not_loaded', head.program))
    return
  }
  loading.then(
    (program) => {
      // While the program was loaded.
      if (call.cancelled) return refuse(call, head, new CallFailure('client_gone', 'The client left.'))
      program.requests++
      const sandbox = new Sandbox({ program, line, call, run: head, limits })
      const number = running.add(sandbox)
      runRequest(sandbox, turns).then(() => running.remove(number))
    },
    (error: Error) => refuse(call, head, new CallFailure('program_start_failed', error.message)),
  )
}

/** Nothing of it ever ran. */
function refuse(call: InCall, { run }: RunHead, failure: CallFailure): void {
  call.fail(failure)
  line.tell({ do: 'over', run })
}
