/** What an operator does to distant points of presence, again and again while NATS elects a leader. */
import { setTimeout as wait } from 'node:timers/promises'
import type { DistantPops, PopName } from './distant-pops.ts'

export interface Operator {
  /** One try. A form is put, anything else posted. */
  call(pop: PopName, path: string, body: object | FormData): Promise<{ readonly ok: boolean; readonly text: string }>
  /** At fra, until it is taken; rejects when it is refused for another reason than NATS, or after a minute. */
  insist(path: string, body: () => object | FormData): Promise<string>
  /** A module Worker; with a namespace bound as `KV` where one is given. */
  deploy(name: string, source: string, namespace?: string): Promise<void>
}

const insistMs = 60_000
const callMs = 30_000
const compatibilityDate = '2026-11-01'

export function operatePops({ pops, token, accountId }: DistantPops): Operator {
  const enabled = new Set<string>()

  const call: Operator['call'] = async (pop, path, body) => {
    const isForm = body instanceof FormData
    const answer = await fetch(`${pops[pop].api}${path}`, {
      method: isForm ? 'PUT' : 'POST',
      headers: { authorization: `Bearer ${token}`, ...(!isForm && { 'content-type': 'application/json' }) },
      body: isForm ? body : JSON.stringify(body),
      signal: AbortSignal.timeout(callMs),
    })
    return { ok: answer.ok, text: await answer.text() }
  }

  async function insist(path: string, body: () => object | FormData): Promise<string> {
    for (const began = performance.now(); ; ) {
      const { ok, text } = await call('fra', path, body())
      if (ok) return text
      if (performance.now() - began > insistMs || !/fabric_away|NATS cannot be reached/.test(text))
        throw new Error(`${path}: ${text}`)
      await wait(200)
    }
  }

  return {
    call,
    insist,
    async deploy(name, source, namespace) {
      const script = `/client/v4/accounts/${accountId}/workers/scripts/${name}`
      const bindings = namespace === undefined ? [] : [{ type: 'kv_namespace', name: 'KV', namespace_id: namespace }]
      const metadata = { main_module: 'index.js', bindings, compatibility_date: compatibilityDate }
      await insist(script, () => {
        const form = new FormData()
        form.append('metadata', JSON.stringify(metadata))
        form.append('index.js', new File([source], 'index.js', { type: 'application/javascript+module' }))
        return form
      })
      if (enabled.has(name)) return
      await insist(`${script}/subdomain`, () => ({ enabled: true }))
      enabled.add(name)
    },
  }
}
