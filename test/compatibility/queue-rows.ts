/** Rows of queues: the binding's methods, a consumer's, wrangler's commands. */
import type { Proof, Row } from './rows.ts'

const story = (title: string): Proof => ({ file: 'queues.test.ts', title })
const works = (feature: string, title: string): Row => ({ feature, state: 'works', proof: story(title) })

export const queueBinding: readonly Row[] = [
  works(
    'Queues: `send`, `sendBatch`, content types `text`, `bytes`, `json`, `v8`',
    'messages of every type arrive as they were sent',
  ),
  works(
    'Queues: `delaySeconds`, `delivery_delay`, `max_batch_size`, `max_batch_timeout`',
    'a delay holds a message back; what waits together comes together',
  ),
  works(
    'Queues: `ack`, `retry`, `ackAll`, `retryAll`, `attempts`, `max_retries`, `dead_letter_queue`',
    'retries count, poison ends in the dead letter queue, what was acknowledged stays so',
  ),
  works('Queues: `metrics`, `batch.metadata`', 'delivery pauses and goes on; a purge leaves nothing'),
  works('Queues: consumers over HTTP (pull)', 'messages are pulled over HTTP, under leases that end'),
]

export const queueCommands: readonly Row[] = [
  works(
    '`queues create`, `list`, `info`, `update`, `delete`, `consumer add`, `consumer remove`',
    'what is set wrongly is refused by number, and the list says what there is',
  ),
  works('`queues pause-delivery`, `resume-delivery`, `purge`', 'delivery pauses and goes on; a purge leaves nothing'),
  works('`queues consumer http add`', 'messages are pulled over HTTP, under leases that end'),
  {
    feature: '`queues subscription …`',
    state: 'refused',
    note: 'events of the platform are not sent to queues; its API answers 404 and names the call',
    proof: { wrangler: ['queues', 'subscription', 'list', 'q'], says: /does not exist|not support/, fails: true },
  },
]
