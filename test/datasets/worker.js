/** Does what each step says; see `test/support/ask-steps.ts`. */
import { DurableObject } from 'cloudflare:workers'

export class Counter extends DurableObject {
  async count(name) {
    const many = ((await this.ctx.storage.get(name)) ?? 0) + 1
    this.ctx.storage.put(name, many)
    this.env.AE.writeDataPoint({ blobs: ['object', name], doubles: [many] })
    return many
  }
}

const steps = {
  write: ({ points, to = 'AE' }, env) => points.map((point) => String(env[to].writeDataPoint(point))),
  many: ({ count, blob }, env) => {
    for (let n = 0; n < count; n++) env.AE.writeDataPoint({ blobs: [blob], doubles: [n], indexes: [`i${n % 3}`] })
    return count
  },
  odd: (_, env) => {
    const bytes = new TextEncoder().encode('bytes')
    env.AE.writeDataPoint({
      blobs: ['odd', bytes, null, bytes.buffer],
      doubles: [Number.NaN, Number.POSITIVE_INFINITY, -0.5],
      indexes: [bytes],
    })
    env.AE.writeDataPoint({ blobs: ['odd', 7, true], doubles: ['8'], indexes: [9] })
    env.AE.writeDataPoint({ blobs: ['none'] })
    env.AE.writeDataPoint({})
    env.AE.writeDataPoint()
  },
  wrong: ({ name }, env) => env.AE.writeDataPoint(wrong[name]),
  object: ({ name }, env) => env.COUNTER.get(env.COUNTER.idFromName('one')).count(name),
}

const wrong = {
  blobs: { blobs: Array.from({ length: 21 }, () => 'x') },
  doubles: { doubles: Array.from({ length: 21 }, () => 1) },
  indexes: { indexes: ['a', 'b'] },
  index: { indexes: ['x'.repeat(97)] },
  bytes: { blobs: ['x'.repeat(16_001)] },
  list: { blobs: 'x' },
  point: 'x',
}

export default {
  async fetch(request, env) {
    const { step, ...rest } = await request.json()
    try {
      return Response.json({ value: (await steps[step](rest, env)) ?? null })
    } catch (error) {
      return Response.json({ error: `${error.name}: ${error.message}` })
    }
  },
}
