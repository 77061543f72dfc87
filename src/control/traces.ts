/**
 * Traces of programs, live: from the point of presence where a program ran to everybody who listens, at any of them.
 * Best effort: what a slow listener cannot take is dropped and counted, and no request waits for it.
 */
import { randomUUID } from 'node:crypto'
import type { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Change, Fabric } from '#/core/ports.ts'
import type { ProgramName } from '#/core/snapshot.ts'
import type { Trace, Traces } from '#/core/traces.ts'
import type { Clock, EpochMs, Milliseconds } from '#/core/units.ts'
import { boundTrace } from './bound-trace.ts'
import { createTraceSharing, type TraceMesh, type TraceSharingOptions } from './share-traces.ts'

export interface LiveTraces extends Traces {
  /** Throws the `refusal`, where there is one. `onDropped` is told how many traces this listener missed since it was told last. */
  listen(
    program: ProgramName,
    listener: (trace: Trace) => void,
    options?: { readonly onDropped?: (count: number) => void },
  ): () => void
  /** Why traces of this program may not be shown here; undefined: they may. */
  refusal(program: ProgramName): EdgeError | undefined
  /** A node of this process reaches nodes of others this way; without it traces of restricted programs stay in the process. */
  join(mesh: TraceMesh): void
  /** Traces dropped since the start, for the counters. */
  readonly dropped: number
  close(): void
}

interface Dependencies extends TraceSharingOptions {
  readonly fabric: Fabric
  readonly clock: Clock
  readonly limits: Pick<Limits, 'traceBytes' | 'traceQueue' | 'traceListenSeconds'>
  /** Runs a task again and again until the returned function is called. */
  readonly every?: (interval: Milliseconds, task: () => void) => () => void
}

function everyInterval(interval: Milliseconds, task: () => void): () => void {
  const timer = setInterval(task, interval).unref()
  return () => clearInterval(timer)
}

/** Traces handed over in one turn of the event loop. */
const turn = 100

/** A bounded queue in front of one listener, emptied outside of the request that filled it. */
function createQueue(listener: (trace: Trace) => void, cap: number, onDropped: (count: number) => void) {
  let waiting: Trace[] = []
  let dropped = 0
  let scheduled = false
  let open = true
  function deliver(): void {
    scheduled = false
    if (!open) return
    for (const trace of waiting.splice(0, turn)) {
      try {
        listener(trace)
      } catch {
        // A listener that throws loses this trace; the others and the program go on.
      }
    }
    if (dropped > 0) onDropped(dropped)
    dropped = 0
    schedule()
  }
  function schedule(): void {
    if (scheduled || waiting.length === 0) return
    scheduled = true
    setImmediate(deliver)
  }
  return {
    /** False when it was dropped. */
    push(trace: Trace): boolean {
      if (waiting.length >= cap) dropped++
      else waiting.push(trace)
      schedule()
      return dropped === 0
    },
    close() {
      open = false
      waiting = []
    },
  }
}

type Queue = ReturnType<typeof createQueue>

/** Who listens elsewhere, learned from records that expire unless they are renewed. */
function createElsewhere(self: string, clock: Clock) {
  const untilByNode = new Map<ProgramName, Map<string, EpochMs>>()
  const until = new Map<ProgramName, EpochMs>()
  function note(program: ProgramName): void {
    const nodes = untilByNode.get(program) ?? new Map<string, EpochMs>()
    for (const [node, end] of nodes) if (end <= clock()) nodes.delete(node)
    if (nodes.size > 0) {
      until.set(program, Math.max(...nodes.values()))
      return
    }
    until.delete(program)
    untilByNode.delete(program)
  }
  return {
    apply(change: Change): void {
      const key = change.kind === 'put' ? change.entry.key : change.key
      const slash = key.lastIndexOf('/')
      const [program, node] = [key.slice(0, slash), key.slice(slash + 1)]
      if (node === self) return
      const nodes = untilByNode.get(program) ?? new Map<string, EpochMs>()
      untilByNode.set(program, nodes)
      if (change.kind === 'put') nodes.set(node, change.entry.expiresAt ?? 0)
      else nodes.delete(node)
      note(program)
    },
    prune(): void {
      for (const program of untilByNode.keys()) note(program)
    },
    listens: (program: ProgramName) => (until.get(program) ?? 0) > clock(),
  }
}

export function createTraces(dependencies: Dependencies): LiveTraces {
  const { fabric, clock, limits, every = everyInterval } = dependencies
  const sharing = createTraceSharing(dependencies)
  const self = randomUUID()
  const bucket = fabric.bucket('tails')
  const lifetime = limits.traceListenSeconds * 1000
  const queues = new Map<ProgramName, Set<Queue>>()
  const subscriptions = new Map<ProgramName, () => void>()
  const elsewhere = createElsewhere(self, clock)
  let dropped = 0

  const stopWatching = bucket.watch('', elsewhere.apply)
  async function learn(): Promise<void> {
    for (let after: string | undefined; ; ) {
      const page = await bucket.list({ limit: 1000, ...(after === undefined ? {} : { after }) })
      for (const entry of page) elsewhere.apply({ kind: 'put', entry })
      after = page.at(-1)?.key
      if (after === undefined) return
    }
  }
  // What fails to be read now comes with the next renewal, a third of the lifetime away at most.
  learn().catch(() => {})

  function announce(program: ProgramName): void {
    bucket.put(`${program}/${self}`, new Uint8Array(0), { expiresAt: clock() + lifetime }).catch(() => {})
  }
  const stopRenewing = every(lifetime / 3, () => {
    for (const program of queues.keys()) announce(program)
    elsewhere.prune()
  })

  function deliver(program: ProgramName, trace: Trace): void {
    for (const queue of queues.get(program) ?? []) if (!queue.push(trace)) dropped++
  }

  function receive(program: ProgramName, message: Uint8Array): void {
    const { from, trace } = JSON.parse(Buffer.from(message).toString('utf8')) as { from: string; trace: Trace }
    if (from !== self) deliver(program, trace)
  }

  function open(program: ProgramName, queue: Queue): void {
    const listening = queues.get(program)
    if (listening !== undefined) {
      listening.add(queue)
      return
    }
    queues.set(program, new Set([queue]))
    subscriptions.set(
      program,
      sharing.receive(program, (message) => receive(program, message)),
    )
    announce(program)
  }

  function shut(program: ProgramName, queue: Queue): void {
    queue.close()
    const listening = queues.get(program)
    if (listening === undefined || !listening.delete(queue) || listening.size > 0) return
    queues.delete(program)
    subscriptions.get(program)?.()
    subscriptions.delete(program)
    bucket.delete(`${program}/${self}`).catch(() => {})
  }

  const wanted = (program: ProgramName) => queues.has(program) || elsewhere.listens(program)
  return {
    wanted,
    emit(trace) {
      if (!wanted(trace.scriptName)) return
      const bounded = boundTrace(trace, limits.traceBytes)
      deliver(trace.scriptName, bounded)
      if (elsewhere.listens(trace.scriptName))
        sharing.send(trace.scriptName, Buffer.from(JSON.stringify({ from: self, trace: bounded })))
    },
    refusal: sharing.refusal,
    join: sharing.join,
    listen(program, listener, { onDropped = () => {} } = {}) {
      const refusal = sharing.refusal(program)
      if (refusal !== undefined) throw refusal
      const queue = createQueue(listener, limits.traceQueue, onDropped)
      open(program, queue)
      return () => shut(program, queue)
    },
    get dropped() {
      return dropped
    },
    close() {
      stopWatching()
      stopRenewing()
      sharing.close()
      for (const [program, listening] of queues) for (const queue of listening) shut(program, queue)
    },
  }
}
