/** Workflows whose steps the params say, and a door to their binding. */
import { WorkflowEntrypoint } from 'cloudflare:workers'
import { NonRetryableError } from 'cloudflare:workflows'

const kinds = {
  give: (step, { name, value }) => step.do(name, async () => value),
  /** Another one each time that it runs. */
  unique: (step, { name }) => step.do(name, async () => crypto.randomUUID()),
  context: (step, { name, config }) => step.do(name, config, async (context) => context),
  fail(step, { name, times, message, final = false, config = {} }) {
    return step.do(name, config, async ({ attempt }) => {
      if (attempt > times) return `after ${attempt}`
      throw final ? new NonRetryableError(message) : new Error(message)
    })
  },
  slow(step, { name, ms, config = {} }) {
    return step.do(name, config, async ({ attempt }) => {
      await scheduler.wait(ms)
      return attempt
    })
  },
  sleep: (step, { name, duration }) => step.sleep(name, duration),
  until: (step, { name, at }) => step.sleepUntil(name, new Date(at)),
  async event(step, { name, type, timeout }) {
    const event = await step.waitForEvent(name, { type, timeout })
    return { type: event.type, payload: event.payload, dated: event.timestamp instanceof Date }
  },
  async rich(step, { name }) {
    const made = await step.do(name, async () => rich())
    const { date, map, bytes, self } = made
    return { year: date.getUTCFullYear(), map: String(map.get('a')), bytes: [...bytes], isSelf: self === self.self }
  },
  async strange(step, { name, what }) {
    if (what === 'function')
      return step.do(name, { retries: { limit: 0, delay: 1 } }, async () => ({ open: new ReadableStream() }))
    if (what === 'large') return step.do(name, { retries: { limit: 0, delay: 1 } }, async () => 'x'.repeat(2 ** 20))
    if (what === 'config') return step.do(name, { retries: { limit: -1, delay: 1 } }, async () => 1)
    if (what === 'name') return step.do('x'.repeat(257), async () => 1)
    if (what === 'callback') return step.do(name, {})
    if (what === 'rollback') return step.do(name, async () => 1, { rollback: async () => {} })
    throw new TypeError('no such thing')
  },
  both: (step, { of }) => Promise.all(of.map((one) => kinds[one.kind](step, one))),
  async caught(step, { of }) {
    try {
      return await kinds[of.kind](step, of)
    } catch (error) {
      return { name: error.name, message: error.message }
    }
  },
  async many(step, { count }) {
    let sum = 0
    for (let at = 0; at < count; at++) sum += await step.do('one', async () => 1)
    return sum
  },
}

function rich() {
  const self = {}
  self.self = self
  return { date: new Date(Date.UTC(2026, 1, 3)), map: new Map([['a', 1n]]), bytes: new Uint8Array([1, 2, 255]), self }
}

export class Flow extends WorkflowEntrypoint {
  async run(event, step) {
    const results = []
    for (const one of event.payload.steps ?? []) results.push((await kinds[one.kind](step, one)) ?? null)
    const { instanceId, workflowName, timestamp } = event
    return { results, instanceId, workflowName, dated: timestamp instanceof Date }
  }
}

const steps = {
  create: async (flow, { options }) => (await flow.create(options)).id,
  createBatch: async (flow, { batch }) => (await flow.createBatch(batch)).map(({ id }) => id),
  deleteBatch: (flow, { ids }) => flow.deleteBatch(ids),
  get: async (flow, { id }) => (await flow.get(id)).id,
  status: async (flow, { id }) => (await flow.get(id)).status(),
  pause: async (flow, { id }) => (await flow.get(id)).pause(),
  resume: async (flow, { id }) => (await flow.get(id)).resume(),
  terminate: async (flow, { id, options }) => (await flow.get(id)).terminate(options),
  restart: async (flow, { id, options }) => (await flow.get(id)).restart(options),
  delete: async (flow, { id }) => (await flow.get(id)).delete(),
  sendEvent: async (flow, { id, event }) => (await flow.get(id)).sendEvent(event),
}

export default {
  async fetch(request, env) {
    if (request.method === 'GET') return new Response('ready')
    const { step, ...rest } = await request.json()
    try {
      return Response.json({ value: (await steps[step](env.FLOW, rest)) ?? null })
    } catch (error) {
      return Response.json({ error: error.message })
    }
  },
}
