/**
 * How many different visitors came, everywhere together? Each point of presence keeps a sketch of those it saw in its own
 * cache: a bit for each, at a place that a hash decides. To count them all, the sketches are asked for and laid over each
 * other. No address and no cookie leaves the place where it was seen. (Linear counting: Whang and others, 1990.)
 */
import { WorkerEntrypoint } from 'cloudflare:workers'

const bits = 1 << 14
const key = 'https://visitors.invalid/sketch'

async function localSketch() {
  const kept = await caches.default.match(key)
  return kept ? new Uint8Array(await kept.arrayBuffer()) : new Uint8Array(bits / 8)
}

async function note(visitor) {
  const hash = new DataView(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(visitor)))
  const place = hash.getUint32(0) % bits
  const sketch = await localSketch()
  sketch[place >> 3] |= 1 << (place & 7)
  await caches.default.put(key, new Response(sketch, { headers: { 'cache-control': 'max-age=86400' } }))
}

/** How many fell on so many bits, some of them on the same. */
function estimate(sketch) {
  let zeros = 0
  for (const byte of sketch) for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) === 0) zeros++
  return Math.round(-bits * Math.log(Math.max(zeros, 1) / bits))
}

/** What runs at every point of presence. */
export class Local extends WorkerEntrypoint {
  sketch() {
    return localSketch()
  }
}

export default {
  async fetch(request, env) {
    if (new URL(request.url).pathname !== '/count') {
      await note(request.headers.get('cookie') ?? request.headers.get('cf-connecting-ip'))
      return new Response(`hello from ${request.cf.colo}\n`)
    }
    const answers = await env.EVERYWHERE.map('sketch', [], { timeoutMs: 2000 })
    const all = new Uint8Array(bits / 8)
    for (const { value } of answers) for (const [index, byte] of value?.entries() ?? []) all[index] |= byte
    const pops = answers.map(({ pop, ok, value, error }) => (ok ? { pop, visitors: estimate(value) } : { pop, error }))
    return Response.json({ visitors: estimate(all), pops })
  },
}
