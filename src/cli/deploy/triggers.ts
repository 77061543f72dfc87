/** What calls a Worker besides requests: its schedules, and the queues that it sends to or is told of. */
import { Complaint } from '../complaint.ts'
import type { CloudflareClient } from './cloudflare-client.ts'
import type { WorkerConfig } from './config-schema.ts'

interface Queue {
  readonly queue_id: string
  readonly queue_name: string
  readonly consumers: readonly { readonly consumer_id: string; readonly type: string; readonly script?: string }[]
}

async function findQueue(client: CloudflareClient, name: string): Promise<Queue | undefined> {
  const listed = await client.call<readonly Queue[]>('GET', `/queues?page=1&name=${encodeURIComponent(name)}`)
  return listed.find(({ queue_name }) => queue_name === name)
}

/** Before the upload: queues that the Worker sends to are made where they are missing. */
export async function provideQueues(client: CloudflareClient, { queues }: WorkerConfig): Promise<void> {
  for (const name of new Set((queues?.producers ?? []).map(({ queue }) => queue)))
    if ((await findQueue(client, name)) === undefined)
      await client.call('POST', '/queues', { json: { queue_name: name } })
}

/** After the upload. Schedules that the configuration does not speak of stay; returns what was set, as printed. */
export async function setTriggers(client: CloudflareClient, config: WorkerConfig): Promise<string[]> {
  const set: string[] = []
  const { crons } = config.triggers ?? {}
  if (crons !== undefined) {
    await client.call('PUT', `/workers/scripts/${config.name}/schedules`, { json: crons.map((cron) => ({ cron })) })
    set.push(...crons.map((cron) => `schedule: ${cron}`))
  }
  for (const consumer of config.queues?.consumers ?? []) {
    await setConsumer(client, config.name, consumer)
    set.push(`consumer for ${consumer.queue}`)
  }
  return set
}

type Consumer = NonNullable<NonNullable<WorkerConfig['queues']>['consumers']>[number]

async function setConsumer(client: CloudflareClient, script: string, consumer: Consumer): Promise<void> {
  const { queue: name, max_batch_timeout: seconds } = consumer
  const queue = await findQueue(client, name)
  if (queue === undefined)
    throw new Complaint(`Queue "${name}" does not exist. To create it, run: wrangler queues create ${name}`)
  const body = {
    type: 'worker',
    script_name: script,
    dead_letter_queue: consumer.dead_letter_queue,
    settings: {
      batch_size: consumer.max_batch_size,
      max_retries: consumer.max_retries,
      max_wait_time_ms: seconds === undefined ? undefined : 1000 * seconds,
      max_concurrency: consumer.max_concurrency,
      retry_delay: consumer.retry_delay,
    },
  }
  const known = queue.consumers.find((one) => one.type === 'worker' && one.script === script)
  const path = `/queues/${queue.queue_id}/consumers`
  if (known === undefined) await client.call('POST', path, { json: body })
  else await client.call('PUT', `${path}/${known.consumer_id}`, { json: body })
}
