/**
 * The origin of the row `delivery-times`, a process of its own. The first part of the path says how it answers, what
 * follows makes the key: `/page/…` at once, `/slow/…` after 100 ms, `/stream/…` in parts over 240 ms, `/private/…` after
 * 200 ms for one client alone, `/tagged/KEY` with a surrogate key and the number of times it was asked. `/asked/PATH`
 * says how often PATH was asked. Prints one line of JSON with its port.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const page = Buffer.alloc(1024, 'x')
const shared = { 'content-type': 'text/plain', 'cache-control': 'public, max-age=3600' }
const parts = 12
const partMs = 20
const asked = new Map<string, number>()

function answer(response: ServerResponse, fields: Record<string, string>, body: Buffer | string): void {
  response.writeHead(200, { ...fields, 'content-length': Buffer.byteLength(body) }).end(body)
}

function stream(response: ServerResponse): void {
  response.writeHead(200, { ...shared, 'content-length': parts * page.length })
  let sent = 0
  const timer = setInterval(send, partMs)
  function send(): void {
    response.write(page)
    if (++sent < parts) return
    clearInterval(timer)
    response.end()
  }
  response.on('close', () => clearInterval(timer))
  send()
}

const kinds: Record<string, (response: ServerResponse, path: string, count: number) => void> = {
  page: (response) => answer(response, shared, page),
  slow: (response) => void setTimeout(() => answer(response, shared, page), 100),
  stream,
  private: (response) =>
    void setTimeout(() => answer(response, { 'content-type': 'text/plain', 'cache-control': 'private' }, page), 200),
  tagged: (response, path, count) => answer(response, { ...shared, 'surrogate-key': path.split('/')[2]! }, `${count}`),
  asked: (response, path) => answer(response, {}, String(asked.get(path.slice('/asked'.length)) ?? 0)),
}

const server = createServer((request, response) => {
  const path = request.url!
  const count = (asked.get(path) ?? 0) + 1
  asked.set(path, count)
  const kind = kinds[path.split('/')[1]!]
  if (kind === undefined) response.writeHead(404).end()
  else kind(response, path, count)
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', 2048, () => {
  console.log(JSON.stringify({ port: (server.address() as AddressInfo).port }))
})
process.on('SIGTERM', () => process.exit(0))
