import { equal, shaped, until, works } from './case.js'

const metrics = { backlogCount: 'number', backlogBytes: 'number' }
/** What the consumer below was told of a message with this word. */
const told = (KV, word) => until(() => KV.get(`told:${word}`, 'json'))

export const queues = [
  works(
    'Queue: send; QueueSendOptions: contentType delaySeconds; QueueSendResponse: metadata; QueueSendMetadata: metrics; QueueSendMetrics: backlogCount backlogBytes oldestMessageTimestamp',
    async ({ env: { QUEUE, KV } }) => {
      const { metadata } = await QUEUE.send('sent', { contentType: 'text', delaySeconds: 1 })
      shaped(metadata.metrics, { ...metrics, oldestMessageTimestamp: 'Date' })
      equal((await told(KV, 'sent')).body, 'sent')
    },
  ),
  works(
    'Queue: sendBatch; MessageSendRequest: body contentType delaySeconds; QueueSendBatchOptions: delaySeconds; QueueSendBatchResponse: metadata; QueueSendBatchMetadata: metrics; QueueSendBatchMetrics: backlogCount backlogBytes oldestMessageTimestamp',
    async ({ env: { QUEUE, KV } }) => {
      const messages = [{ body: 'many-a', contentType: 'json', delaySeconds: 1 }, { body: 'many-b' }]
      const { metadata } = await QUEUE.sendBatch(messages, { delaySeconds: 0 })
      shaped(metadata.metrics, { ...metrics, oldestMessageTimestamp: 'Date' })
      equal([(await told(KV, 'many-a')).body, (await told(KV, 'many-b')).body], ['many-a', 'many-b'])
    },
  ),
  works('Queue: metrics; QueueMetrics: backlogCount backlogBytes oldestMessageTimestamp', async ({ env: { IDLE } }) => {
    await IDLE.send('waits')
    const found = await IDLE.metrics()
    shaped(found, { ...metrics, oldestMessageTimestamp: 'Date' })
    equal([found.backlogCount >= 1, found.backlogBytes >= 5], [true, true])
  }),
  works(
    'MessageBatch: messages queue metadata ackAll; MessageBatchMetadata: metrics; MessageBatchMetrics: backlogCount backlogBytes oldestMessageTimestamp; Message: id timestamp body attempts ack; ExportedHandler: queue',
    async ({ env: { QUEUE, KV } }) => {
      await QUEUE.send('whole')
      const { batch, ...message } = await told(KV, 'whole')
      equal({ ...message, id: message.id.length }, { id: 32, dated: true, body: 'whole', attempts: 1 })
      equal([batch.queue, batch.count >= 1], ['exerciser-queue', true])
      shaped(batch.metrics, metrics)
    },
  ),
  works('Message: retry; QueueRetryOptions: delaySeconds; MessageBatch: retryAll', async ({ env: { QUEUE, KV } }) => {
    await QUEUE.send('again')
    equal((await until(() => KV.get('told:again-2', 'json'))).attempts, 2)
    await QUEUE.send('all-again')
    equal((await until(() => KV.get('told:all-again-2', 'json'))).attempts, 2)
  }),
]

/** Keeps what it is told under the word of each message, and of a later attempt under `WORD-ATTEMPT`. */
export async function consume(batch, { KV }) {
  const { queue, messages, metadata } = batch
  for (const { id, timestamp, body, attempts } of messages) {
    const seen = { id, dated: timestamp instanceof Date, body, attempts }
    const about = { queue, count: messages.length, metrics: metadata.metrics }
    const name = attempts === 1 ? body : `${body}-${attempts}`
    await KV.put(`told:${name}`, JSON.stringify({ ...seen, batch: about }))
  }
  if (messages.some(({ body, attempts }) => body === 'all-again' && attempts === 1))
    return batch.retryAll({ delaySeconds: 0 })
  for (const message of messages)
    if (message.body === 'again' && message.attempts === 1) message.retry({ delaySeconds: 0 })
    else message.ack()
  batch.ackAll()
}
