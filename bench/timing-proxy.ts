/** Stands between a client and an API and notes when each call was under way. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Call {
  readonly method: string
  readonly path: string
  /** `performance.now()` when it came and when its answer had gone. */
  readonly from: number
  readonly to: number
}

export interface TimingProxy {
  readonly origin: string
  /** Calls that ended since the last time this was asked. */
  take(): Call[]
  close(): void
}

export async function openTimingProxy(target: URL): Promise<TimingProxy> {
  let calls: Call[] = []
  const server = createServer((incoming, outgoing) => {
    const { method = 'GET', url: path = '/', headers } = incoming
    const from = performance.now()
    const forwarded = request({ host: target.hostname, port: target.port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
      answer.on('end', () => calls.push({ method, path, from, to: performance.now() }))
    })
    forwarded.on('error', (error) => outgoing.destroy(error))
    incoming.pipe(forwarded)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    take() {
      const taken = calls
      calls = []
      return taken
    },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** Time before `end` in which at least one call was under way; calls at the same time count once. */
export function busyTime(calls: readonly Call[], end: number): number {
  let busy = 0
  let seen = Number.NEGATIVE_INFINITY
  for (const { from, to } of [...calls].sort((a, b) => a.from - b.from)) {
    const start = Math.max(from, seen)
    const stop = Math.min(to, end)
    if (stop > start) busy += stop - start
    seen = Math.max(seen, stop)
  }
  return busy
}
