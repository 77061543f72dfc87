/**
 * Tail Workers: programs whose `tail()` is told what others did. Best effort and never in anybody's way: what a slow
 * consumer cannot take is dropped, and what it does itself with a trace is not told on, so that two consumers of each other
 * come to rest.
 */
import { dispatchedParts } from '#/core/dispatch-names.ts'
import type { Limits } from '#/core/limits.ts'
import { resourceOf } from '#/core/resources.ts'
import type { ProgramName, Snapshot } from '#/core/snapshot.ts'
import type { Trace, Traces } from '#/core/traces.ts'
import type { EventDelivery } from './deliver-event.ts'

export interface TailConsumersParts {
  readonly traces: Traces
  readonly snapshot: () => Snapshot
  readonly deliver: EventDelivery['deliver']
  readonly limits: Pick<Limits, 'traceQueue' | 'tailBatch'>
  readonly log: (message: string, facts: object) => void
}

interface Line {
  waiting: Trace[]
  dropped: number
  running: boolean
}

/** The same traces, which consumers are told too. */
export function withTailConsumers({ traces, snapshot, deliver, limits, log }: TailConsumersParts): Traces {
  /** By producer and consumer; gone when nothing waits. */
  const lines = new Map<string, Line>()
  const consumersOf = (program: ProgramName) => snapshot().programs.get(program)?.tailConsumers ?? []

  async function run(key: string, line: Line, consumer: ProgramName, producer: ProgramName): Promise<void> {
    while (line.waiting.length > 0) {
      const told = line.waiting.splice(0, limits.tailBatch).map((trace) => asTold(trace, snapshot()))
      const within = snapshot().programs.get(producer)?.within
      const failure = await deliver(consumer, { kind: 'tail', traces: told }, within).then(
        ({ end, error }) => (end === 'ok' ? undefined : { end, error }),
        (err: unknown) => ({ err }),
      )
      if (failure !== undefined) log('a tail Worker failed', { consumer, producer, ...failure })
    }
    lines.delete(key)
    if (line.dropped > 0) log('traces for a tail Worker were dropped', { consumer, producer, count: line.dropped })
  }

  function tell(producer: ProgramName, consumer: ProgramName, trace: Trace): void {
    const key = `${producer} ${consumer}`
    const line = lines.get(key) ?? { waiting: [], dropped: 0, running: false }
    lines.set(key, line)
    if (line.waiting.length >= limits.traceQueue) line.dropped++
    else line.waiting.push(trace)
    if (line.running) return
    line.running = true
    // In a later turn: traces of one moment go together.
    setImmediate(() => void run(key, line, consumer, producer))
  }

  return {
    wanted: (program) => consumersOf(program).length > 0 || traces.wanted(program),
    listen: (program, listener) => traces.listen(program, listener),
    emit(trace) {
      traces.emit(trace)
      if (isTelling(trace)) return
      for (const consumer of consumersOf(trace.scriptName)) tell(trace.scriptName, consumer, trace)
    },
  }
}

/** A program of a dispatch namespace is told of by its owner's name for it. */
function asTold(trace: Trace, snapshot: Snapshot): Trace {
  const parts = dispatchedParts(trace.scriptName)
  const namespace = parts && resourceOf(snapshot, 'dispatch', parts.namespace)
  return namespace === undefined ? trace : { ...trace, scriptName: parts!.name, dispatchNamespace: namespace.name }
}

/** The runtime tells `tail()` by a call of that name. */
function isTelling({ event }: Trace): boolean {
  return (event as { readonly rpcMethod?: unknown } | null | undefined)?.rpcMethod === 'tail'
}
