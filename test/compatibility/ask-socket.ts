/** WebSockets of the check Worker. */
import { WebSocket } from 'ws'
import type { Site } from './site.ts'

/** Resolves once it is open. */
export async function connect(site: Site, host: string, path: string): Promise<WebSocket> {
  const socket = new WebSocket(`${site.node.addresses.http.replace('http', 'ws')}${path}`, { headers: { host } })
  await new Promise((resolve, reject) => {
    socket.once('open', resolve)
    socket.once('error', reject)
  })
  return socket
}

/** The next message after this one. */
export function said(socket: WebSocket, message: string): Promise<string> {
  return new Promise((resolve, reject) => {
    socket.once('message', (data) => resolve(String(data)))
    socket.once('close', (code) => reject(new Error(`closed with ${code}`)))
    socket.send(message)
  })
}
