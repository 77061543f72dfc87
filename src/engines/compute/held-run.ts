/** A request in a cell, as this node holds it until its program has ended. */
import type { Answer } from '#/core/exchange.ts'
import type { ProgramRequest } from '#/core/ports.ts'
import type { Program } from '#/core/snapshot.ts'
import type { ComputeCell } from './cell.ts'
import type { ComputeDeployment } from './cells.ts'
import type { HostRun } from './host-calls.ts'
import type { Head, NoteTaker, OutCall } from './wire-messages.ts'

export class HeldRun implements HostRun, NoteTaker {
  readonly cell: ComputeCell
  readonly program: Program
  readonly deployment: ComputeDeployment
  readonly request: ProgramRequest
  /** Under which its cell calls back. */
  number = 0
  /** What the cell was asked. */
  call: OutCall | undefined = undefined
  /** This answer goes to the client, whatever the cell says. */
  handedOver: Answer | undefined = undefined
  #aborter: AbortController | undefined = undefined
  #over = false
  #looks = 0

  constructor(cell: ComputeCell, program: Program, deployment: ComputeDeployment, request: ProgramRequest) {
    this.cell = cell
    this.program = program
    this.deployment = deployment
    this.request = request
  }

  get signal(): AbortSignal {
    this.#aborter ??= new AbortController()
    if (this.#over) this.#aborter.abort()
    return this.#aborter.signal
  }

  /** An answer before the answer: 103. */
  takeNote({ status, headers }: Head): void {
    this.request.onInformational?.(status as number, headers as string[])
  }

  handOver(answer: Answer): void {
    this.handedOver = answer
  }

  /**
   * To be called from time to time: a request that is seen twice ends when its client leaves. Making a signal and listening
   * to it costs several microseconds, which the many short requests are spared.
   */
  attend(): void {
    if (++this.#looks !== 2) return
    const { signal } = this.request
    const leave = () => this.call?.cancel()
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave, { once: true })
  }

  end(): void {
    this.#over = true
    this.#aborter?.abort()
  }
}
