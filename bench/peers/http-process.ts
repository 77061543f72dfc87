/** Node's own `http` saying hello: what a program costs without a sandbox. Prints one line of JSON with its address. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

const server = createServer((_request, response) => {
  response.writeHead(200, { 'content-type': 'text/plain' }).end('hello from node')
})
server.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ http: { port: (server.address() as AddressInfo).port } }))
})
process.on('SIGTERM', () => process.exit(0))
