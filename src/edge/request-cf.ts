/**
 * `request.cf`: what the platform knows about a request, in Cloudflare's shape. A field nobody here knows is absent.
 */
import type { ClientPrints } from '#/core/exchange.ts'
import type { AcceptedExchange } from './accepted.ts'
import type { Pop } from './request-headers.ts'

const protocols = { '1.0': 'HTTP/1.0', '1.1': 'HTTP/1.1', '2': 'HTTP/2' } as const

/** Documented under these names at https://developers.cloudflare.com/workers/runtime-apis/request/#incomingrequestcfproperties */
function helloFacts({ hello, random, ja3, ja4 }: ClientPrints): object {
  if (hello === undefined || random === undefined) return {}
  return {
    tlsClientHelloLength: String(hello.length),
    tlsClientRandom: Buffer.from(random).toString('base64'),
    botManagement: { ja3Hash: ja3, ja4 },
  }
}

/** Serialized once a connection, since nothing in it changes between its requests. */
export function requestCf(exchange: AcceptedExchange, pop: Pop): string {
  const { connection } = exchange
  connection.cf ??= JSON.stringify({
    colo: pop.id.toUpperCase(),
    country: connection.country,
    ...connection.network,
    httpProtocol: protocols[exchange.httpVersion],
    tlsVersion: connection.client.tls?.version,
    tlsCipher: connection.client.tls?.cipher,
    ...helloFacts(connection.prints),
  })
  return connection.cf
}
