/**
 * Messages of a stream in order, pushed by an ephemeral consumer in memory. Whatever may have been missed (a gap, a silent
 * server, a new connection) ends it, and a follower opens the next one behind the last message that came.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { Msg } from '@nats-io/transport-node'
import { EdgeError } from '#/core/errors.ts'
import type { Line } from './line.ts'
import type { StoredMessage } from './message.ts'

const heartbeatMs = 1000
/** Without a sign for so long, the consumer's server counts as gone. */
const silenceMs = 3500

interface ConsumerPlan {
  readonly stream: string
  readonly filter: string
  /** The last message of each subject, or all from a sequence on. */
  readonly from: 'last' | { readonly sequence: number }
  readonly headersOnly?: boolean
  onMessage(message: StoredMessage, pending: number): void
  /** Resolves when everything handed to `onMessage` was dealt with: the server waits while too much is not. */
  settled(): Promise<void>
  onBroken(): void
}

interface OpenConsumer {
  /** Messages that were there when it was opened. */
  readonly pending: number
  stop(): void
}

let consumers = 0

async function openConsumer(line: Line, plan: ConsumerPlan): Promise<OpenConsumer> {
  const { connection } = line
  const inbox = line.newInbox()
  const name = `${line.id}-${consumers++}`
  let heard = performance.now()
  let delivered = 0
  let ended = false

  function end(broken: boolean): void {
    if (ended) return
    ended = true
    clearInterval(watchdog)
    forget()
    subscription.unsubscribe()
    if (broken) plan.onBroken()
  }

  function take(error: Error | null, message: Msg): void {
    heard = performance.now()
    if (error === null && message.headers?.code === 100) takeSign(message)
    else if (error !== null || !takeMessage(message)) end(true)
  }

  function takeMessage(message: Msg): boolean {
    const info = readReply(message.reply ?? '')
    if (info === undefined || info.consumerSequence !== delivered + 1) return false
    delivered++
    plan.onMessage(toStored(message, info), info.pending)
    return true
  }

  function takeSign(message: Msg): void {
    const stalled = message.reply || message.headers?.get('Nats-Consumer-Stalled')
    if (stalled) void plan.settled().then(() => !ended && connection.publish(stalled))
    if (!message.reply && Number(message.headers?.get('Nats-Last-Consumer') || delivered) !== delivered) end(true)
  }

  const subscription = connection.subscribe(inbox, { callback: take })
  const forget = line.onReconnect(() => end(true))
  const watchdog = setInterval(() => {
    if (performance.now() - heard > silenceMs) end(true)
  }, heartbeatMs)
  watchdog.unref()

  try {
    const made = await line.call<{ num_pending?: number }>(`CONSUMER.CREATE.${plan.stream}.${name}.${plan.filter}`, {
      stream_name: plan.stream,
      config: {
        name,
        deliver_subject: inbox,
        ack_policy: 'none',
        replay_policy: 'instant',
        max_deliver: 1,
        filter_subject: plan.filter,
        flow_control: true,
        idle_heartbeat: heartbeatMs * 1e6,
        inactive_threshold: 30 * 1e9,
        num_replicas: 1,
        mem_storage: true,
        ...(plan.headersOnly ? { headers_only: true } : {}),
        ...(plan.from === 'last'
          ? { deliver_policy: 'last_per_subject' }
          : { deliver_policy: 'by_start_sequence', opt_start_seq: plan.from.sequence }),
      },
    })
    if (made === undefined) throw new Error(`The stream ${plan.stream} of NATS is gone.`)
    return { pending: made.num_pending ?? 0, stop: () => end(false) }
  } catch (error) {
    end(false)
    throw error
  }
}

interface ReplyInfo {
  readonly sequence: number
  readonly consumerSequence: number
  readonly time: number
  readonly pending: number
}

/** `$JS.ACK.STREAM.CONSUMER.n.SEQUENCE.CONSUMERSEQUENCE.NANOSECONDS.PENDING`, with domain and account before it: ADR-15. */
export function readReply(reply: string): ReplyInfo | undefined {
  const all = reply.split('.')
  if (all[0] !== '$JS' || all[1] !== 'ACK') return undefined
  const tokens = all.length >= 11 ? all.slice(4) : all.slice(2)
  const [, , , sequence, consumerSequence, nanoseconds, pending] = tokens
  if (pending === undefined) return undefined
  return {
    sequence: Number(sequence),
    consumerSequence: Number(consumerSequence),
    time: Number(BigInt(nanoseconds ?? 0) / 1_000_000n),
    pending: Number(pending),
  }
}

function toStored(message: Msg, info: ReplyInfo): StoredMessage {
  const headers = new Map<string, string>()
  for (const name of message.headers?.keys() ?? []) headers.set(name, message.headers!.get(name))
  return { subject: message.subject, sequence: info.sequence, time: info.time, headers, data: message.data }
}

export interface Follower {
  close(): void
}

export interface FollowOptions {
  readonly line: Line
  readonly stream: string
  readonly filter: string
  /** Exclusive. */
  readonly after: number
  /** One at a time, in order. */
  readonly handle: (message: StoredMessage) => Promise<void> | void
  readonly report: (error: unknown) => void
}

/** Follows a stream over lost connections, servers and consumers: each message is handled once, in order. */
export function follow({ line, stream, filter, after, handle, report }: FollowOptions): Follower {
  let last = after
  let closed = false
  let open: OpenConsumer | undefined
  let work: Promise<void> = Promise.resolve()

  function take(message: StoredMessage): void {
    if (closed || message.sequence <= last) return
    last = message.sequence
    line.saw(stream, last)
    work = work.then(() => handle(message)).catch(report)
  }

  async function keepOpen(): Promise<void> {
    for (let pause = 50; !closed; pause = Math.min(pause * 2, 1000)) {
      const broken = Promise.withResolvers<void>()
      try {
        open = await openConsumer(line, {
          stream,
          filter,
          from: { sequence: last + 1 },
          onMessage: take,
          settled: () => work,
          onBroken: broken.resolve,
        })
        if (closed) {
          open.stop()
          return
        }
        pause = 50
        await broken.promise
      } catch {
        // Asked again until the line is back: what was missed meanwhile is still in the stream.
      }
      await wait(pause, undefined, { ref: false })
    }
  }

  void keepOpen()
  return {
    close() {
      closed = true
      open?.stop()
    },
  }
}

/** The last message of each subject, as they are now; without bodies when `headersOnly` (their size is then a header). */
export async function scan(
  line: Line,
  stream: string,
  filter: string,
  how: ScanOptions = {},
): Promise<StoredMessage[]> {
  try {
    return await scanOnce(line, stream, filter, how)
  } catch (error) {
    // A move to another server broke it off: nothing is away.
    if (!(error instanceof EdgeError) || error.code !== 'fabric_away' || line.state === 'away') throw error
    return scanOnce(line, stream, filter, how)
  }
}

interface ScanOptions {
  readonly headersOnly?: boolean
}

async function scanOnce(
  line: Line,
  stream: string,
  filter: string,
  { headersOnly = false }: ScanOptions,
): Promise<StoredMessage[]> {
  const found: StoredMessage[] = []
  const done = Promise.withResolvers<void>()
  // It may break off before anybody waits for it.
  done.promise.catch(() => {})
  const consumer = await openConsumer(line, {
    stream,
    filter,
    from: 'last',
    headersOnly,
    onMessage(message, pending) {
      found.push(message)
      if (pending === 0) done.resolve()
    },
    settled: async () => {},
    onBroken: () => done.reject(new EdgeError('fabric_away', `The reading of ${stream} broke off.`)),
  })
  if (consumer.pending === 0 && found.length === 0) done.resolve()
  try {
    await done.promise
  } finally {
    consumer.stop()
  }
  return found
}
