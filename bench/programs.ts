/** The Workers that the benchmarks run: the same source for every peer. */
export const compatibilityDate = '2026-11-01'

export const helloSource = `export default { fetch() { return new Response('Hello World\\n') } }\n`

export type Size = 'tiny' | '100 KB' | '500 KB'
export const sizes: readonly Size[] = ['tiny', '100 KB', '500 KB']
const bytesOf: Record<Size, number> = { tiny: 0, '100 KB': 100_000, '500 KB': 500_000 }

/** A program of about that size: functions that could be called, as in a bundle with libraries, around a hello world. */
export function sourceOf(size: Size): string {
  const parts: string[] = []
  for (let bytes = 0, index = 0; bytes < bytesOf[size]; index += 1) {
    const part = `function part${index}(a, b) { const list = [a, b, ${index}]; return list.map((x) => x * 2).filter(Boolean).join('${index}') }\n`
    parts.push(part)
    bytes += part.length
  }
  const used = parts.length === 0 ? `''` : `part${parts.length - 1}(1, 2)`
  return `${parts.join('')}export default { fetch() { return new Response('Hello World\\n' + (globalThis.never ? ${used} : '')) } }\n`
}

/**
 * `/` answers once its own consumer was told of the message that it sent, `/send` when it is sent, `/counts` how many were sent
 * and told. Consumer and producer share an isolate.
 */
export const queueSource = `
let sent = 0
let count = 0
const told = new Set()
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url)
    if (pathname === '/counts') return Response.json([sent, count])
    const mine = ++sent
    await env.Q.send(pathname === '/send' ? 0 : mine)
    if (pathname === '/send') return new Response('sent\\n')
    const end = Date.now() + 10000
    while (!told.delete(mine)) {
      if (Date.now() > end) return new Response('not told', { status: 504 })
      await scheduler.wait(1)
    }
    return new Response('told\\n')
  },
  queue(batch) {
    count += batch.messages.length
    for (const { body } of batch.messages) if (body !== 0) told.add(body)
  },
}
`
