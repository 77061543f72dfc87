/** Cloudflare's numbers for queues. Those from 10104 to 15000 are documented, the others stand in its clients. */
import { Refusal } from '#/control/refusal.ts'
import type { QueueRefusal } from '#/core/queues.ts'
import { VendorError } from './envelope.ts'

export const noQueue = (name: string) =>
  new VendorError(404, 11000, `Queue '${name.slice(0, 80)}' does not exist: create it with 'wrangler queues create'.`)
export const handlerMissing = (program: string) =>
  new VendorError(400, 11001, `queue handler is missing: '${program}' has no queue() function.`)
export const consumerExists = () =>
  new VendorError(
    400,
    11004,
    'workers.api.error.consumer_exists: a queue has one consumer. Remove the one it has first.',
  )
export const noConsumer = () => new VendorError(404, 11002, 'This queue has no such consumer.')
export const badConsumer = (why: string) => new VendorError(400, 100127, `The consumer settings are invalid: ${why}.`)
export const badSettings = (why: string) => new VendorError(400, 100128, `The queue settings are invalid: ${why}.`)
export const badName = (name: string) =>
  new VendorError(
    400,
    11008,
    `'${name.slice(0, 80)}' is no queue name: 1 to 63 letters, digits and '-', no '-' at its ends.`,
  )

export const refusedBy = ({ status, code, message }: QueueRefusal) => new VendorError(status, code, message)

/** Control's refusals of queues, by their numbers. */
export function toQueueError(thrown: unknown, name: string): unknown {
  if (!(thrown instanceof Refusal)) return thrown
  if (thrown.code === 'name_taken')
    return new VendorError(
      409,
      11009,
      `Queue name '${name.slice(0, 80)}' is already taken. Please use a different name and try again.`,
    )
  return thrown.code === 'no_resource' ? noQueue(name) : thrown
}
