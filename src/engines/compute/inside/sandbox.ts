/** One request in one instance: what host calls act on. Everything of it is gone when the request is over. */

import type { AnswerHead, BackendFacts, RunHead } from '../protocol.ts'
import { packAnswer } from '../request-heads.ts'
import type { InCall, Line } from '../wire-messages.ts'
import { GuestBody, StreamingBody } from './bodies.ts'
import { Handles } from './handles.ts'
import type { GuestMemory } from './memory.ts'
import { announcedLength, GuestRequest, httpVersion } from './messages.ts'
import type { CellLimits, LoadedProgram } from './program.ts'
import type { Session } from './session.ts'

/** Why a program was ended from outside. */
export type EndReason = 'cpu' | 'time' | 'client_gone' | 'memory'

/** Thrown through the program's frames: by `proc_exit`, and where it must not go on. */
export class GuestExit extends Error {
  readonly code: number
  constructor(code: number) {
    super(`exit ${code}`)
    this.name = 'GuestExit'
    this.code = code
  }
}

/** After so many requests what a program calls is compiled. */
const warmRequests = 32

export class Sandbox {
  readonly program: LoadedProgram
  readonly line: Line
  readonly call: InCall
  readonly run: RunHead
  readonly limits: CellLimits
  handles: Handles
  /** Set when an instance takes the request. */
  memory!: GuestMemory
  readonly startedAt = performance.now()
  cpuMs = 0
  /** When its latest turn began, in `performance.now()`. */
  turnBegan = 0
  /** The watch stopped its turn. */
  stopped = false
  endReason: EndReason | undefined
  /** It has answered the client (`send_downstream`). */
  answered = false
  /** How its instance came to be; for the answer's head. */
  start: 'cold' | 'warm' | 'pooled' = 'cold'
  /** Backends that the program described itself, by name. */
  readonly backends = new Map<string, BackendFacts>()
  /** Backend requests so far. */
  fetches = 0
  readonly request: GuestRequest
  readonly requestBody: GuestBody
  /** Handles of the client's request and its body, made when the program asks. */
  downstream: { readonly request: number; readonly body: number } | undefined
  /** Breaks off the host call that the program waits in. */
  wake: (() => void) | undefined
  /** The run of the program that this request is part of; set when an instance takes the request. */
  session: Session | undefined
  /** The request that the program went on with. */
  successor: Sandbox | undefined
  #parted: (() => void) | undefined
  readonly #endings: (() => void)[] = []
  #answer: { readonly head: AnswerHead; readonly body: Uint8Array } | undefined
  #toldOver = false
  readonly #tasks: Promise<void>[] = []
  readonly #lines = { stdout: '', stderr: '' }

  constructor(parts: {
    readonly program: LoadedProgram
    readonly line: Line
    readonly call: InCall
    readonly run: RunHead
    readonly limits: CellLimits
  }) {
    this.program = parts.program
    this.line = parts.line
    this.call = parts.call
    this.run = parts.run
    this.limits = parts.limits
    this.handles = new Handles(parts.limits.handles)
    const { run } = parts
    this.request = new GuestRequest()
    this.request.method = run.method
    this.request.uri = run.uri
    this.request.version = httpVersion[run.client.httpVersion]
    this.request.headers.list = [...run.headers]
    this.request.downstream = true
    this.requestBody = new GuestBody(parts.limits.bodyBytes, parts.call.body)
    this.requestBody.announced = announcedLength(run.headers)
  }

  get over(): boolean {
    return this.endReason !== undefined
  }

  get cpuLeftMs(): number {
    const warmUp = this.program.requests <= warmRequests ? this.limits.warmUpMs : 0
    return Math.max(1, this.limits.cpuMs + warmUp - this.cpuMs)
  }

  /** An instance that served another request goes on with this one: what it holds by number it holds still. */
  continues(before: Sandbox): void {
    this.memory = before.memory
    this.handles = before.handles
    this.start = 'pooled'
  }

  /** Resolves when this request's end has begun and its handles are no longer looked at. */
  whenParted(): Promise<void> {
    return new Promise((resolve) => {
      this.#parted = resolve
    })
  }

  /** The program must not go on: what it waits for ends now. */
  end(reason: EndReason): void {
    if (this.endReason !== undefined) return
    this.endReason = reason
    this.wake?.()
  }

  callerLeft(): void {
    this.end('client_gone')
  }

  /** A function was called that the platform does not know: once a name, to the program's own log. */
  noteUnknown(name: string): void {
    this.print('stderr', `host call ${name} is not supported`)
  }

  /** A line of the program's output, to the log and to who listens (`fastly log-tail`). */
  print(stream: string, message: string): void {
    this.line.tell({ do: 'print', run: this.run.run, stream, message })
  }

  /** Bytes written to stdout or stderr: told line by line, the rest at the end of the request. */
  output(stream: 'stdout' | 'stderr', bytes: Uint8Array): void {
    const text = this.#lines[stream] + Buffer.from(bytes).toString('utf8')
    const lines = text.split('\n')
    this.#lines[stream] = lines.pop()!.slice(0, this.limits.logBytes)
    for (const line of lines) this.print(stream, line)
  }

  /** The request is not over before this has ended: bodies that still stream after the program's end. */
  lasts(task: Promise<void>): void {
    this.#tasks.push(task)
  }

  /** Resolves when everything that the program left running has ended; where it `failed`, that ends now. */
  async settled(failed: boolean): Promise<void> {
    if (failed) this.#runEndings()
    for (const held of this.handles.all())
      if (held instanceof StreamingBody) held.out.fail('the program ended before it closed the body')
    this.#endLines()
    this.#parted?.()
    await Promise.all(this.#tasks)
  }

  /** Lines that no newline ended are lines all the same. */
  #endLines(): void {
    for (const stream of ['stdout', 'stderr'] as const)
      if (this.#lines[stream] !== '') this.output(stream, Buffer.from('\n'))
  }

  /** The whole answer. It leaves when the program waits or ends, so that one frame may say both. */
  answer(head: AnswerHead, body: Uint8Array): void {
    this.#answer = { head, body }
  }

  /** Lets the answer go, before the program waits. */
  flush(): void {
    const answer = this.#answer
    this.#answer = undefined
    if (answer !== undefined) this.call.reply({ head: packAnswer(answer.head), body: answer.body })
  }

  /** The program has ended well: true when nothing of it is left and the node was told with the answer. */
  endWithAnswer(): boolean {
    const answer = this.#answer
    if (answer === undefined || this.#tasks.length > 0) return false
    this.#answer = undefined
    this.#toldOver = true
    // The node takes no word of a request that is over.
    this.#endLines()
    this.call.reply({ head: packAnswer({ ...answer.head, over: true }), body: answer.body })
    return true
  }

  /** The program failed after its answer began: a whole one stands, of one that streams the client sees a broken body. */
  failAfterAnswer(reason: string): void {
    this.print('stderr', reason)
    if (this.#answer === undefined) this.call.out.fail(reason)
  }

  /** Runs when the request is over, however it ended: calls to the node are given up, streams cut. */
  onEnd(ending: () => void): void {
    this.#endings.push(ending)
  }

  finish(): void {
    this.#runEndings()
    if (!this.#toldOver) this.line.tell({ do: 'over', run: this.run.run })
  }

  #runEndings(): void {
    for (const ending of this.#endings.splice(0)) ending()
  }
}
