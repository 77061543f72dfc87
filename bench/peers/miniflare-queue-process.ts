/** Miniflare with the Worker of the row `queues`, as a process of its own; prints its address. Ends with SIGTERM. */
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import { compatibilityDate, queueSource } from '../programs.ts'

const options = {
  ...{ host: '127.0.0.1', port: 0, modules: true, script: queueSource, compatibilityDate },
  queueProducers: { Q: { queueName: 'bench' } },
  queueConsumers: { bench: { maxBatchSize: 10, maxBatchTimeout: 0 } },
}
const miniflare = new Miniflare(convertV4MiniflareOptions(options))
const url = await miniflare.ready
process.stdout.write(`listening ${url.port}\n`)
process.on('SIGTERM', () => miniflare.dispose().then(() => process.exit(0)))
