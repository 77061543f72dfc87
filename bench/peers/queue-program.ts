/** The Worker that sends to a queue and consumes it. */
import type { BoundProgram } from './bound-programs.ts'

/**
 * `/` answers once its own consumer was told of the message that it sent, `/send` when it is sent, `/counts` how many were sent
 * and told; `/later` sends 100 messages that nobody is told of for hours. Consumer and producer share an isolate.
 */
const source = `
let sent = 0
let count = 0
const told = new Set()
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (pathname === '/counts') return Response.json([sent, count])
    if (pathname === '/later') {
      const body = 'x'.repeat(100)
      await env.Q.sendBatch(Array.from({ length: 100 }, () => ({ body })), { delaySeconds: 43_200 })
      return new Response('sent\\n')
    }
    const mine = ++sent
    await env.Q.send(pathname === '/send' ? 0 : mine)
    if (pathname === '/send') return new Response('sent\\n')
    const end = Date.now() + 10000
    while (!told.delete(mine)) {
      if (Date.now() > end) return new Response('not told', { status: 504 })
      await scheduler.wait(1)
    }
    return new Response('told\\n')
  },
  queue(batch) {
    count += batch.messages.length
    for (const { body } of batch.messages) if (body !== 0) told.add(body)
  },
}
`

export const queueProgram: BoundProgram = {
  name: 'bench',
  source,
  miniflare: {
    queueProducers: { Q: { queueName: 'bench' } },
    queueConsumers: { bench: { maxBatchSize: 10, maxBatchTimeout: 0 } },
  },
  async make(node) {
    await node.call('POST', '/queues', { queue_name: 'bench' })
    return { bindings: [{ type: 'queue', name: 'Q', queue_name: 'bench' }] }
  },
  async after(node) {
    const [queue] = await node.call<{ queue_id: string }[]>('GET', '/queues')
    const settings = { batch_size: 10, max_wait_time_ms: 0 }
    await node.call('POST', `/queues/${queue!.queue_id}/consumers`, { type: 'worker', script_name: 'bench', settings })
  },
}
