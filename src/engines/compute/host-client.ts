/** What programs ask about their client that is worked out only when they do. */
import type { ClientPrints } from '#/core/exchange.ts'
import type { HostCalls } from './host-calls.ts'
import { textOf } from './host-stores.ts'

export const clientCalls: HostCalls = {
  'client.print': ({ request }, head) => ({
    head: {},
    body: printOf(request.client.prints, textOf(head, 'print')) ?? null,
  }),
}

/** JA3 as its 16 bytes, which is how programs get it. */
function printOf(prints: ClientPrints | undefined, name: string): Uint8Array | undefined {
  if (name === 'hello') return prints?.hello
  const text = name === 'ja3' ? prints?.ja3 : name === 'ja4' ? prints?.ja4 : prints?.http2
  return text === undefined ? undefined : Buffer.from(text, name === 'ja3' ? 'hex' : 'latin1')
}
