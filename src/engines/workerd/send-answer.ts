/** Writes an `Answer` to a Node response or, for a switched protocol, to its bare socket. */
import type { ServerResponse } from 'node:http'
import { type Duplex, pipeline } from 'node:stream'
import type { Answer } from '#/core/exchange.ts'
import { pour } from '#/core/lent-chunks.ts'

/** Head and body; a body that breaks breaks the connection, so that nobody takes it for complete. */
export function sendAnswer(response: ServerResponse, answer: Answer): void {
  const { body } = answer
  response.sendDate = false
  response.writeHead(answer.status, answer.statusText ?? '', answer.headers)
  if (body === null || body instanceof Uint8Array) return void response.end(body ?? undefined)
  pour(body, response)
}

/** 101 joins the two connections; any other answer is written in full and ends the connection. */
export function sendUpgrade(socket: Duplex, early: Buffer, answer: Answer): void {
  const { upgraded, headers, status } = answer
  let head = `HTTP/1.1 ${status} ${answer.statusText || 'Switching Protocols'}\r\n`
  for (let index = 0; index < headers.length; index += 2) head += `${headers[index]}: ${headers[index + 1]}\r\n`
  if (upgraded === undefined) {
    socket.write(`${head}Connection: close\r\n\r\n`, 'latin1')
    if (answer.body === null || answer.body instanceof Uint8Array) socket.end(answer.body ?? undefined)
    else pipeline(answer.body, socket, () => {})
    return
  }
  socket.write(`${head}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`, 'latin1')
  if (early.length > 0) upgraded.write(early)
  pipeline(socket, upgraded, () => {})
  pipeline(upgraded, socket, () => {})
}
