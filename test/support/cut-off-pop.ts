/**
 * A point of presence is cut off while the others deploy and purge, and healed: what its users saw, and when it was as new as
 * the others.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { type DistantPops, popNames, type Stoppable } from './distant-pops.ts'
import { get } from './node.ts'
import { operatePops } from './operate-pops.ts'

export interface CutOff {
  /** Requests at the PoP while it was cut off. */
  readonly asked: number
  /** Those that failed: what was asked, and how it was answered. */
  readonly failed: readonly string[]
  readonly deploys: number
  readonly purges: number
  /** From the return of its lines until all its answers were new, ms. */
  readonly convergedMs: number
  /** Until `/readyz` said so without `awaySince`, ms. */
  readonly readyMs: number
  /** Answers from before, to requests that were sent after it had said that it is ready. */
  readonly stale: number
}

const away = 'nrt'
/** Servers of NATS that find each other again may elect twice. */
const backMs = 60_000

export interface Shop {
  /** Cuts the PoP off for so long, and looks on until all is as before. */
  cutOff(cutMs: number): Promise<CutOff>
}

/** Both the Worker `shop` and the cached site `page` answer with a version. */
export async function openShop(t: Stoppable, distant: DistantPops): Promise<Shop> {
  const { pops } = distant
  let version = 1
  const origin = createServer((_, response) => {
    response.setHeader('cache-control', 'max-age=3600').end(String(version))
  })
  t.after(() => {
    origin.closeAllConnections()
    origin.close()
  })
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
  const { port } = origin.address() as AddressInfo

  const { insist, deploy: deployWorker } = operatePops(distant)
  const deploy = () => deployWorker('shop', `export default { fetch: () => new Response('${version}') }`)
  const purge = () => insist('/rimward/v1/purge', () => ({ site: 'page', everything: true }))

  const hosts = ['shop.localhost', 'page.localhost'] as const
  const ask = (name: (typeof popNames)[number], host: string) => get(pops[name].http, host, '/')
  const isNew = async (name: (typeof popNames)[number]) =>
    (await Promise.all(hosts.map((host) => ask(name, host)))).every(({ text }) => text === String(version))
  async function readiness(): Promise<string> {
    const answer = await fetch(`${pops[away].api}/readyz`)
    const text = await answer.text()
    return answer.ok && !text.includes('awaySince') ? 'ready' : text
  }

  await insist('/rimward/v1/sites', () => ({ name: 'page', origin: `http://127.0.0.1:${port}` }))
  await deploy()
  for (const name of popNames) while (!(await isNew(name))) await wait(20)

  async function cutOff(cutMs: number): Promise<CutOff> {
    const counted = { asked: 0, deploys: 0, purges: 0 }
    const failed: string[] = []
    await distant.cut(away)
    const endAt = performance.now() + cutMs
    const serving = (async () => {
      while (performance.now() < endAt) {
        for (const host of hosts) {
          counted.asked++
          const answer = await ask(away, host).catch((error: Error) => ({ status: 0, text: error.message }))
          if (answer.status !== 200)
            failed.push(
              `${host} after ${Math.round(cutMs - endAt + performance.now())} ms: ${answer.status} ${answer.text}`,
            )
        }
        await wait(50)
      }
    })()
    while (performance.now() < endAt || counted.deploys === 0) {
      version++
      await deploy()
      counted.deploys++
      await purge()
      counted.purges++
      await wait(Math.min(1000, cutMs / 10))
    }
    await serving

    await distant.heal(away)
    const healedAt = performance.now()
    let convergedAt = Number.NaN
    let readyAt = Number.NaN
    let stale = 0
    while (
      Number.isNaN(readyAt) ||
      Number.isNaN(convergedAt) ||
      performance.now() < Math.max(readyAt, convergedAt) + 2000
    ) {
      const wasReady = !Number.isNaN(readyAt)
      const fresh = await isNew(away)
      if (!fresh) {
        convergedAt = Number.NaN
        if (wasReady) stale++
      } else if (Number.isNaN(convergedAt)) convergedAt = performance.now()
      const said = wasReady ? 'ready' : await readiness()
      if (!wasReady && said === 'ready') readyAt = performance.now()
      if (performance.now() > healedAt + backMs)
        throw new Error(`It does not come back: what it serves is ${fresh ? 'new' : 'old'}, ${said}`)
      await wait(20)
    }
    return { ...counted, failed, convergedMs: convergedAt - healedAt, readyMs: readyAt - healedAt, stale }
  }
  return { cutOff }
}
