/** Load by long bodies: so few answers come in a round that each that began in it is waited for. */
import { Agent, get } from 'node:http'
import type { LoadOrder, LoadResult } from './load.ts'

/** Each connection asks again until the time is over, once at least. */
export async function loadLong({
  host,
  port,
  authorities,
  path,
  connections,
  seconds,
}: LoadOrder): Promise<LoadResult> {
  const agent = new Agent({ keepAlive: true })
  const statuses: Record<string, number> = {}
  const latencies: number[] = []
  let broken = 0
  const startedAt = performance.now()
  const passed = () => (performance.now() - startedAt) / 1000

  function once(): Promise<void> {
    const sentAt = performance.now()
    return new Promise((resolve) => {
      const asked = get({ host, port, path, agent, headers: { host: authorities[0]! } }, (answer) => {
        const status = String(answer.statusCode)
        answer.on('data', () => {})
        answer.on('close', () => {
          if (!answer.complete) broken++
          else statuses[status] = (statuses[status] ?? 0) + 1
          latencies.push(performance.now() - sentAt)
          resolve()
        })
      })
      asked.on('error', () => {
        broken++
        resolve()
      })
    })
  }

  async function drive(): Promise<void> {
    do await once()
    while (passed() < seconds)
  }

  await Promise.all(Array.from({ length: connections }, drive))
  agent.destroy()
  latencies.sort((a, b) => a - b)
  const at = (part: number): number => latencies[Math.floor(latencies.length * part)] ?? Number.NaN
  return { requests: latencies.length, seconds: passed(), statuses, broken, p50Ms: at(0.5), p99Ms: at(0.99) }
}
