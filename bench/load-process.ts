/**
 * The load generator, a process of its own: keep-alive connections on raw sockets, each with one request under way.
 * Takes a JSON `LoadOrder` as its argument, prints a JSON `LoadResult`; ends early on SIGTERM, with the result so far.
 */
import { connect } from 'node:net'
import type { LoadOrder, LoadResult } from './load.ts'
import { responseLength } from './response-length.ts'

const order = JSON.parse(process.argv[2]!) as LoadOrder
const statuses: Record<string, number> = {}
const latencies: number[] = []
let broken = 0
let open = order.connections
let stopping = false
const startedAt = performance.now()

function finish(): void {
  const seconds = (performance.now() - startedAt) / 1000
  latencies.sort((a, b) => a - b)
  const at = (part: number): number => latencies[Math.floor(latencies.length * part)] ?? Number.NaN
  const result: LoadResult = { requests: latencies.length, seconds, statuses, broken, p50Ms: at(0.5), p99Ms: at(0.99) }
  process.stdout.write(JSON.stringify(result), () => process.exit(0))
}

const requests = order.authorities.map((authority) => `GET ${order.path} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`)
let turn = 0

function drive(): void {
  const socket = connect(order.port, order.host).setNoDelay(true).setEncoding('latin1')
  let text = ''
  let sentAt = 0
  let done = false
  const send = (): void => {
    sentAt = performance.now()
    socket.write(requests[turn++ % requests.length]!)
  }
  socket.on('connect', send)
  socket.on('data', (chunk) => {
    text += chunk
    const length = responseLength(text)
    if (length === undefined) return
    const status = text.slice(9, 12)
    const closes = /\r\nconnection: *close/i.test(text.slice(0, text.indexOf('\r\n\r\n')))
    statuses[status] = (statuses[status] ?? 0) + 1
    latencies.push(performance.now() - sentAt)
    text = text.slice(length)
    done = stopping || closes
    if (done) socket.end()
    else send()
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    if (!done) broken += 1
    if (!stopping) return drive()
    open -= 1
    if (open === 0) finish()
  })
}

for (let index = 0; index < order.connections; index += 1) drive()
const stop = (): void => {
  stopping = true
  // A connection without an answer by then counts as broken.
  setTimeout(finish, 5_000).unref()
}
setTimeout(stop, order.seconds * 1000)
process.on('SIGTERM', stop)
