/**
 * One point of presence as `rimward up --join` starts it, but that its lines to the others lead through relays. One argument, the
 * `PopWish` of `distant-pops.ts` as JSON; prints one line of JSON when it is ready.
 */
import { createConnection } from 'node:net'
import { startPlatform } from '../../src/platform.ts'
import type { PopWish } from './distant-pops.ts'

const { pop, country, data, token, nats, mesh, relays } = JSON.parse(process.argv[2]!) as PopWish
const anywhere = { host: '127.0.0.1', port: 0 }

const { addresses, accountId, stop } = await startPlatform({
  ...{ data, token, debug: false, log: 'file', http: anywhere, api: anywhere },
  pops: [{ id: pop, country }],
  join: {
    nats: { servers: nats },
    mesh: { host: '127.0.0.1', port: mesh },
    token,
    dial: ({ node }) => createConnection({ host: '127.0.0.1', port: relays[node]!, noDelay: true }),
  },
})
process.once('SIGTERM', () => stop().then(() => process.exit(0)))
console.log(JSON.stringify({ addresses, accountId }))
