/** Messages to whoever listens now: at most once, in the order of each sender, large ones in parts. */
import { headers as createHeaders, type Msg } from '@nats-io/transport-node'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Listeners } from '#/core/listeners.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Line } from './line.ts'
import { toToken } from './names.ts'

/** `SENDER-n index count`, on each part of a message that does not fit into one. */
const partHeader = 'Rimward-Part'

export interface MessagesOptions {
  readonly root: string
  readonly line: Line
  readonly listeners: Listeners<Uint8Array>
  readonly limits: Pick<Limits, 'natsPartBytes' | 'natsMessageBytes' | 'fabricValueBytes'>
  readonly report: (error: unknown) => void
}

export function createMessages(options: MessagesOptions): Pick<Fabric, 'publish' | 'subscribe'> {
  const { root, line, listeners, limits, report } = options
  const { connection } = line
  const subscriptions = new Map<string, { count: number; unsubscribe(): void }>()
  let counter = 0

  function open(topic: string) {
    const collect = createCollector(limits.natsMessageBytes)
    const subscription = connection.subscribe(`${root}.${toToken(topic)}`, {
      callback(error, message) {
        const whole = error === null ? collect(message) : report(error)
        if (whole !== undefined) listeners.tell((name) => name === topic, whole)
      },
    })
    return { count: 0, unsubscribe: () => subscription.unsubscribe() }
  }

  function send(subject: string, message: Uint8Array): void {
    if (message.length <= limits.natsPartBytes) {
      connection.publish(subject, message)
      return
    }
    const id = `${line.id}-${counter++}`
    const count = Math.ceil(message.length / limits.natsPartBytes)
    for (let index = 0; index < count; index++) {
      const headers = createHeaders()
      headers.set(partHeader, `${id} ${index} ${count}`)
      const from = index * limits.natsPartBytes
      connection.publish(subject, message.subarray(from, from + limits.natsPartBytes), { headers })
    }
  }

  return {
    publish(topic, message) {
      if (message.length > limits.fabricValueBytes)
        throw new EdgeError(
          'body_too_large',
          `The message has ${message.length} bytes, more than ${limits.fabricValueBytes}.`,
        )
      const own = new Uint8Array(message)
      listeners.tell((name) => name === topic, own)
      // Nobody beyond this node hears it while the line is cut: it is not kept for later.
      if (line.state === 'here' && !connection.isClosed()) send(`${root}.${toToken(topic)}`, own)
    },
    subscribe(topic, listener) {
      const subscription = subscriptions.get(topic) ?? open(topic)
      subscriptions.set(topic, subscription)
      subscription.count++
      const forget = listeners.add(topic, listener)
      let ended = false
      return () => {
        if (ended) return
        ended = true
        forget()
        if (--subscription.count > 0) return
        subscription.unsubscribe()
        subscriptions.delete(topic)
      }
    },
  }
}

/** Puts parts together; what would need more memory than `limitBytes` in all is forgotten, the oldest first. */
export function createCollector(
  limitBytes: number,
): (message: Pick<Msg, 'data' | 'headers'>) => Uint8Array | undefined {
  const partial = new Map<string, { readonly parts: Uint8Array[]; bytes: number }>()
  let held = 0

  function forget(id: string): void {
    held -= partial.get(id)?.bytes ?? 0
    partial.delete(id)
  }

  return ({ data, headers }) => {
    const place = headers?.get(partHeader)
    if (!place) return data
    const [id = '', index, count] = place.split(' ')
    const known = partial.get(id) ?? { parts: [], bytes: 0 }
    // Parts of one sender come in order: a gap means that the line was cut between them.
    if (known.parts.length !== Number(index)) {
      forget(id)
      return undefined
    }
    known.parts.push(data)
    known.bytes += data.length
    held += data.length
    partial.set(id, known)
    if (known.parts.length === Number(count)) {
      forget(id)
      return Buffer.concat(known.parts)
    }
    while (held > limitBytes) forget(partial.keys().next().value!)
    return undefined
  }
}
