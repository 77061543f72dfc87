/** What becomes of messages after their consumer was told: a pure decision. */
import type { EventOutcome, QueueVerdict } from '#/core/program-events.ts'
import type { QueueConsumer } from '#/core/queues.ts'
import type { EpochMs, Seconds } from '#/core/units.ts'
import type { Later, TakenMessage } from './operations.ts'

export interface Settled {
  readonly gone: readonly number[]
  readonly later: readonly Later[]
  /** Tried as often as they may be. */
  readonly dead: readonly TakenMessage[]
}

const nothingSaid: QueueVerdict = { ackAll: false, acks: [], retries: [] }

/**
 * What was said of one message goes before what was said of all; what was acknowledged stays so when the consumer throws
 * later. https://developers.cloudflare.com/queues/configuration/batching-retries/
 */
export function settle(
  messages: readonly TakenMessage[],
  { end, verdict = nothingSaid }: EventOutcome,
  { maxRetries, retryDelayS = 0 }: Pick<QueueConsumer, 'maxRetries' | 'retryDelayS'>,
  now: EpochMs,
): Settled {
  const acks = new Set(verdict.acks)
  const retries = new Map(verdict.retries.map(({ id, delaySeconds }) => [id, delaySeconds]))
  const again = end !== 'ok' || verdict.retryAll !== undefined
  const delayForAll = verdict.retryAll?.delaySeconds ?? retryDelayS
  const gone: number[] = []
  const later: Later[] = []
  const dead: TakenMessage[] = []
  for (const message of messages) {
    const { seq, id } = message
    const isGone = acks.has(id) || (!retries.has(id) && (verdict.ackAll || !again))
    const attempts = message.attempts + 1
    if (isGone) gone.push(seq)
    else if (attempts > maxRetries) dead.push(message)
    else later.push({ seq, attempts, due: now + delayOf(retries.get(id) ?? delayForAll) })
  }
  return { gone, later, dead }
}

/** Programs may say anything. */
const delayOf = (seconds: Seconds) => Math.min(Math.max(seconds, 0), 86_400) * 1000
