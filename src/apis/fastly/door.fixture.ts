/** One platform for the tests of this door: a control plane, the API on a port of its own, and a list of what was purged. */
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { createAdaptorServer } from '@hono/node-server'
import { type Control, createControl } from '#/control/control.ts'
import { createMemoryFabric } from '#/control/memory-fabric.fixture.ts'
import { createProver } from '#/control/prover.fixture.ts'
import type { PurgeWish } from '#/core/cache-policy.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { Fabric } from '#/core/ports.ts'
import type { Snapshot } from '#/core/snapshot.ts'
import { createFastlyApi } from './app.ts'
import type { ComputeDeps } from './deps.ts'

export interface Door {
  readonly control: Control
  readonly url: string
  readonly token: string
  /** Adopted Snapshots, newest last. */
  readonly adopted: Snapshot[]
  readonly purged: PurgeWish[]
  readonly bugs: unknown[]
  /** Bodies that are objects are sent as forms. */
  call(
    method: string,
    path: string,
    body?: Record<string, string> | string,
    headers?: Record<string, string>,
  ): Promise<Called>
}

export interface Called {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: answers differ by call, and tests look into them freely
  readonly body: any
}

/** The stores are another room's: stories with them are in `test/fastly`. */
const noStores = {
  items: { all: () => [], find: () => undefined, items: () => undefined },
  output: { listen: () => () => {} },
} as unknown as ComputeDeps

export const accountId = '0123456789abcdef0123456789abcdef'

export async function openDoor(
  t: TestContext,
  options: { readonly limits?: Partial<Limits>; readonly fabric?: Fabric } = {},
): Promise<Door> {
  const clock = Date.now
  const fabric = options.fabric ?? createMemoryFabric(clock)
  const limits = { ...defaultLimits, ...options.limits }
  const adopted: Snapshot[] = []
  const control = await createControl({
    fabric,
    seal: { seal: (text) => text, open: (text) => text },
    engine: createProver(fabric.blobs),
    limits,
    clock,
    adopt: async (snapshot) => void adopted.push(snapshot),
  })
  const purged: PurgeWish[] = []
  const bugs: unknown[] = []
  const token = 'a-token-for-tests'
  const api = createFastlyApi({
    control,
    compute: noStores,
    fabric,
    cache: {
      purge: async (wishes) => {
        purged.push(...wishes)
        return { id: 'local-1-1', at: 1, acknowledged: [], away: [] }
      },
    },
    stats: [],
    token,
    accountId,
    limits,
    clock,
    log: (_message, error) => bugs.push(error),
  })
  const url = await serveDoor(t, api)
  return {
    control,
    url,
    token,
    adopted,
    purged,
    bugs,
    async call(method, path, body, headers) {
      const response = await fetch(url + path, {
        method,
        headers: { 'fastly-key': token, ...headers },
        ...(body !== undefined && { body: typeof body === 'string' ? body : new URLSearchParams(body) }),
      })
      return { status: response.status, body: await response.json() }
    },
  }
}

/** The URL at which it answers until the test ends. */
export async function serveDoor(
  t: TestContext,
  { fetch: answer }: ReturnType<typeof createFastlyApi>,
): Promise<string> {
  const server = createAdaptorServer({ fetch: answer }) as Server
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
