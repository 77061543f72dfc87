import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { smallBody } from './small-body.ts'

/** A request as a server gets it, and the client's end of its connection. */
async function requestOf(t: { after(end: () => void): void }, head: string) {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  t.after(() => {
    client.destroy()
    server.closeAllConnections()
    server.close()
  })
  client.write(`POST / HTTP/1.1\r\nHost: any\r\n${head}\r\n\r\n`)
  const [body] = (await once(server, 'request')) as [IncomingMessage]
  return { client, body, headers: body.rawHeaders }
}

test('a small body comes whole, however it was sent', async (t) => {
  const { client, ...request } = await requestOf(t, 'Content-Length: 6')
  const whole = smallBody(request) as Promise<Buffer>
  client.write('abc')
  await once(request.body, 'data')
  client.write('def')
  assert.equal((await whole).toString(), 'abcdef')
})

test('an empty one is no bytes', async (t) => {
  const { client: _, ...request } = await requestOf(t, 'Content-Length: 0')
  assert.equal((await smallBody(request))!.toString(), '')
})

test('one that ends before is refused, before or after somebody waits for it', async (t) => {
  const { client, ...request } = await requestOf(t, 'Content-Length: 6')
  const whole = smallBody(request) as Promise<Buffer>
  client.write('abc')
  await once(request.body, 'data')
  client.destroy()
  await assert.rejects(whole, { code: 'client_gone' })
  await assert.rejects(smallBody(request) as Promise<Buffer>, { code: 'client_gone' })
})

test('a long one, and one of unknown length, stay streams', async (t) => {
  const long = await requestOf(t, 'Content-Length: 65537')
  assert.equal(smallBody(long), long.body)
  const chunked = await requestOf(t, 'Transfer-Encoding: chunked')
  assert.equal(smallBody(chunked), chunked.body)
  chunked.client.write('1\r\na\r\n0\r\n\r\n')
  assert.equal(await text(smallBody(chunked) as IncomingMessage), 'a')
})
