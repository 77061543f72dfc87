/**
 * One NATS server of three is lost, again and again, while all points of presence serve and write: which requests failed, what
 * that was acknowledged is gone, and when each point of presence writes again.
 */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { defaultLimits } from '#/core/limits.ts'
import type { StreamServer } from '#/fabric/nats/audit.ts'
import { openNatsFabric } from '#/fabric/nats/fabric.ts'
import { whenReady } from '#/fabric/nats/server.fixture.ts'
import { type DistantPops, type PopName, popNames, type Stoppable } from './distant-pops.ts'
import { get } from './node.ts'
import { operatePops } from './operate-pops.ts'

export const losses = ['killed', 'paused', 'cut off'] as const
export type Loss = (typeof losses)[number]

export interface Sums {
  /** Requests for a cached site, a Worker and its keys, at all PoPs; those that failed, and how. */
  readonly asked: number
  readonly failed: readonly string[]
  /** Writes that were acknowledged: changes of the configuration, and values of keys. */
  readonly changes: number
  readonly values: number
  readonly refused: number
  /** Acknowledged, and not there at some PoP at the end. */
  readonly lost: readonly string[]
}

export interface Load {
  /** Loses the server that leads, waits until every PoP writes, and brings it back. Rejects after a minute. */
  lose(loss: Loss): Promise<{ readonly resumedMs: Readonly<Record<PopName, number>> }>
  /** Ends the load. */
  judge(): Promise<Sums>
}

const patienceMs = 60_000
const pausedMs = 10_000
/** Changes that come at once are decided anew, one after the other, and the farthest PoP comes last: it is not that which is measured. */
const pauseMs = { request: 40, value: 100, change: 1500, refused: 200 } as const

const source = `export default {
  async fetch(request, env) {
    const key = new URL(request.url).pathname.slice(1)
    if (request.method === 'PUT') {
      await env.KV.put(key, await request.text())
      return new Response('kept')
    }
    if (key === 'plain') return new Response('plain')
    if (key !== 'all') return new Response(await env.KV.get(key))
    const keys = []
    for (let cursor; ; ) {
      const page = await env.KV.list({ cursor })
      keys.push(...page.keys.map(({ name }) => name))
      if (page.list_complete) return Response.json(keys)
      cursor = page.cursor
    }
  },
}
`

async function untilTrue(
  condition: () => boolean | Promise<boolean>,
  what: string,
  limitMs = patienceMs,
): Promise<void> {
  for (const endAt = performance.now() + limitMs; !(await condition()); await wait(50))
    if (performance.now() > endAt) throw new Error(`not within ${limitMs / 1000} s: ${what}`)
}

async function startOrigin(t: Stoppable): Promise<string> {
  const server = createServer((_, response) => response.setHeader('cache-control', 'max-age=3600').end('page'))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Deploys what is asked for, and starts the load. It ends with `t` too. */
export async function startLoad(t: Stoppable, distant: DistantPops): Promise<Load> {
  const { pops, servers, token, accountId } = distant
  const operator = operatePops(distant)
  const origin = await startOrigin(t)
  const title = `load ${performance.now()}`
  const made = await operator.insist(`/client/v4/accounts/${accountId}/storage/kv/namespaces`, () => ({ title }))
  await operator.deploy('keys', source, (JSON.parse(made) as { result: { id: string } }).result.id)
  await operator.insist('/rimward/v1/sites', () => ({ name: 'cached', origin }))
  const watcher = await whenReady(() =>
    openNatsFabric({ servers: servers.map(({ url }) => url), clock: Date.now, limits: defaultLimits }),
  )
  t.after(() => watcher.close())

  let isOver = false
  const counted = { asked: 0, refused: 0 }
  const failed: string[] = []
  const changes: string[] = []
  const values: string[] = []
  /** When the last change that a PoP acknowledged was begun. */
  const begun: Record<PopName, number> = { fra: 0, iad: 0, nrt: 0 }
  const startedAt = performance.now()

  async function ask(pop: PopName, host: string, path: string, put?: string): Promise<boolean> {
    counted.asked++
    const beganAt = performance.now()
    const how = put === undefined ? {} : { method: 'PUT', body: put }
    const answer = await get(pops[pop].http, host, path, how).catch((error: Error) => ({
      status: 0,
      text: String(error),
    }))
    const after = Math.round((beganAt - startedAt) / 100) / 10
    if (answer.status !== 200) failed.push(`${pop} ${host}${path} after ${after} s: ${answer.status} ${answer.text}`)
    return answer.status === 200
  }

  /** Returns the pause until the next one. */
  async function change(pop: PopName, name: string): Promise<number> {
    const beganAt = performance.now()
    const { ok } = await operator.call(pop, '/rimward/v1/sites', { name, origin }).catch(() => ({ ok: false }))
    if (!ok) {
      counted.refused++
      return pauseMs.refused
    }
    changes.push(name)
    begun[pop] = beganAt
    return pauseMs.change
  }

  async function repeat(work: (count: number) => Promise<number>): Promise<void> {
    for (let count = 0; !isOver; count++) await wait(await work(count))
  }

  const asked = [
    ['cached.localhost', '/'],
    ['keys.localhost', '/plain'],
    ['keys.localhost', '/first'],
  ] as const
  for (const pop of popNames)
    await untilTrue(async () => {
      const answers = await Promise.all(asked.map(([host, path]) => get(pops[pop].http, host, path)))
      return answers.every(({ status }) => status === 200)
    }, `${pop} serves`)
  const running = popNames.flatMap((pop) => [
    ...asked.map(([host, path]) => repeat(() => ask(pop, host, path).then(() => pauseMs.request))),
    repeat(async (count) => {
      const key = `${pop}-${count}`
      if (await ask(pop, 'keys.localhost', `/${key}`, 'value')) values.push(key)
      return pauseMs.value
    }),
    repeat((count) => change(pop, `w-${pop}-${count}`)),
  ])
  const end = async () => {
    isOver = true
    await Promise.all(running)
  }
  t.after(end)

  async function isSound(): Promise<boolean> {
    const places = await watcher.streams().catch(() => [])
    return places.length > 0 && places.every(({ servers: all }) => all.length === 3 && all.every(isThere))
  }
  const isThere = ({ offline, current }: StreamServer) => current && !offline

  async function leading(): Promise<number> {
    let index = -1
    await untilTrue(async () => {
      const place = (await watcher.streams().catch(() => [])).find(({ stream }) => stream === 'rimward')
      index = servers.findIndex(({ name }) => place?.servers.some((server) => server.leader && server.name === name))
      return index >= 0
    }, 'a server leads')
    return index
  }

  /** Returns how it comes back. */
  async function hit(loss: Loss, index: number): Promise<() => Promise<unknown>> {
    const server = servers[index]!
    const since = performance.now()
    switch (loss) {
      case 'killed':
        await server.stop('SIGKILL')
        return async () => {
          servers[index] = await server.restart()
        }
      case 'paused':
        server.signal('SIGSTOP')
        return async () => {
          await wait(Math.max(0, pausedMs - (performance.now() - since)))
          server.signal('SIGCONT')
        }
      case 'cut off':
        await distant.cut(popNames[index]!, 'server')
        return () => distant.heal(popNames[index]!, 'server')
    }
  }

  /** What one PoP lacks of what was acknowledged anywhere. */
  async function lacks(pop: PopName): Promise<string[]> {
    const sites = await fetch(`${pops[pop].api}/rimward/v1/sites`, { headers: { authorization: `Bearer ${token}` } })
    const names = new Set([...(await sites.text()).matchAll(/"name":\s*"([^"]+)"/g)].map(([, name]) => name!))
    const keys = new Set(JSON.parse((await get(pops[pop].http, 'keys.localhost', '/all')).text) as string[])
    const missing = [...changes.filter((name) => !names.has(name)), ...values.filter((key) => !keys.has(key))]
    return missing.map((name) => `${name} at ${pop}`)
  }

  return {
    async lose(loss) {
      await untilTrue(isSound, 'all copies are there')
      const index = await leading()
      const since = performance.now()
      const comeBack = await hit(loss, index)
      try {
        const resumedMs: Record<PopName, number> = { fra: Number.NaN, iad: Number.NaN, nrt: Number.NaN }
        await untilTrue(() => {
          for (const pop of popNames)
            if (Number.isNaN(resumedMs[pop]) && begun[pop] > since) resumedMs[pop] = performance.now() - since
          return popNames.every((pop) => !Number.isNaN(resumedMs[pop]))
        }, 'every point of presence writes')
        return { resumedMs }
      } finally {
        await comeBack()
        await untilTrue(isSound, 'all copies are there')
      }
    },
    async judge() {
      await end()
      // Values reach the others a moment later.
      let lost: string[] = []
      const seeAll = async () => {
        lost = (await Promise.all(popNames.map(lacks))).flat()
        return lost.length === 0
      }
      await untilTrue(seeAll, 'everything is everywhere', 10_000).catch(() => {})
      return { ...counted, failed, changes: changes.length, values: values.length, lost }
    },
  }
}
