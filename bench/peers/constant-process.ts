/**
 * The floor: what Node's sockets cost when nothing is read, decided or logged. Each chunk that arrives is answered with
 * the same bytes. Argument: bytes of the body; prints one line of JSON with its port.
 */
import { createServer } from 'node:net'
import { pageFields, smallPage } from './kept-page.ts'

const bytes = Number(process.argv[2])
const lines = Object.entries(pageFields(smallPage)).map(([name, value]) => `${name}: ${value}\r\n`)
const own = 'age: 12\r\nx-served-by: fra\r\ncf-ray: 0123456789abcdef-FRA\r\ndate: Mon, 02 Nov 2026 10:00:00 GMT\r\n'
const head = `HTTP/1.1 200 OK\r\n${lines.join('')}${own}content-length: ${bytes}\r\nconnection: keep-alive\r\n\r\n`
const body = Buffer.alloc(bytes, 'x')
const small = head + body.toString('latin1')
const isSmall = bytes <= 16_384

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {})
  socket.on('data', () => {
    if (isSmall) {
      socket.write(small, 'latin1')
      return
    }
    socket.cork()
    socket.write(head, 'latin1')
    socket.write(body)
    socket.uncork()
  })
})
server.listen(0, '127.0.0.1', () => console.log(JSON.stringify(server.address())))
process.on('SIGTERM', () => process.exit(0))
