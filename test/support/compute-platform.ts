/**
 * A control plane with every store and Fastly's API in this process, for the CLI: all of a node but its data plane. In place
 * of the engine, a module is compiled to see whether it can be.
 */
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { createFastlyApi } from '#/apis/fastly/app.ts'
import { serveDoor } from '#/apis/fastly/door.fixture.ts'
import { type Control, createControl } from '#/control/control.ts'
import { createProgramOutput } from '#/control/program-output.ts'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import { createMemoryFabric } from '#/core/memory-fabric.ts'
import type { AccessLists, Blobs, ConfigStores, Fabric, KvStores, Proof, SecretStores } from '#/core/ports.ts'
import type { ProgramOutput } from '#/core/program-output.ts'
import type { Deployment } from '#/core/snapshot.ts'
import { createClientKeys } from '#/stores/client-keys.ts'
import { openItemStores } from '#/stores/item-stores.ts'
import { createKvStores } from '#/stores/kv.ts'
import { createAccessLists, createConfigStores, createSecretVault } from '#/stores/program-stores.ts'
import { openSeal } from '#/stores/seal.ts'
import type { ForFastly } from './fastly.ts'
import { temporaryFolder } from './node.ts'

export interface ComputePlatform {
  readonly control: Control
  readonly fabric: Fabric
  readonly output: ProgramOutput
  readonly url: string
  readonly token: string
  readonly accountId: string
  /** A folder of this test's own; the CLI keeps its configuration there. */
  readonly data: string
  readonly bugs: unknown[]
  readonly kv: KvStores
  readonly config: ConfigStores
  readonly secrets: SecretStores
  readonly lists: AccessLists
  call(method: string, path: string, init?: RequestInit): Promise<{ readonly status: number; readonly body: string }>
}

export async function startComputePlatform(
  t: TestContext,
  options: { readonly limits?: Partial<Limits>; readonly fabric?: Fabric; readonly data?: string } = {},
): Promise<ComputePlatform> {
  const clock = Date.now
  const limits = { ...defaultLimits, ...options.limits }
  const fabric = options.fabric ?? createMemoryFabric(clock)
  const data = options.data ?? (await temporaryFolder(t, 'compute'))
  const seal = await openSeal({ keyFile: join(data, 'secret.key') })
  const engine = {
    prove: (_program: unknown, deployment: Deployment) => compile(fabric.blobs, deployment),
    forget: async () => {},
  }
  const control = await createControl({ fabric, seal, engine, limits, clock, adopt: async () => {} })
  const items = await openItemStores({ fabric, limits, clock })
  const secrets = createSecretVault({ stores: items, seal })
  const lists = createAccessLists({ stores: items })
  const kv = createKvStores({ fabric, limits, clock })
  const output = createProgramOutput({ limits })
  const bugs: unknown[] = []
  const token = 'a-token-for-tests'
  const accountId = '0123456789abcdef0123456789abcdef'
  const api = createFastlyApi({
    control,
    compute: { kv, items, secrets, accessLists: lists, clientKeys: createClientKeys({ limits, clock }), output },
    fabric,
    cache: { purge: async () => ({ id: 'local-1-1', at: 1, acknowledged: [], away: [] }) },
    stats: [],
    token,
    accountId,
    limits,
    clock,
    log: (_message, error) => bugs.push(error),
  })
  const url = await serveDoor(t, api)
  t.after(() => items.close())
  return {
    ...{ control, fabric, output, url, token, accountId, data, bugs, kv, secrets, lists },
    config: createConfigStores({ stores: items }),
    async call(method, path, init) {
      const answer = await fetch(url + path, {
        ...init,
        method,
        headers: { 'fastly-key': token, ...(init?.headers as Record<string, string>) },
      })
      return { status: answer.status, body: await answer.text() }
    },
  }
}

/** As the CLI is pointed at it. */
export const forCli = ({ data, token, url }: ComputePlatform): ForFastly => ({
  data,
  token,
  addresses: { api: url },
  output: () => '',
})

/** The types of Node know no WebAssembly. */
const { WebAssembly } = globalThis as unknown as {
  readonly WebAssembly: { compile(bytes: Uint8Array): Promise<unknown> }
}

async function compile(blobs: Blobs, { compute }: Deployment): Promise<Proof> {
  const bytes = await blobs.get(compute!.module)
  try {
    await WebAssembly.compile(bytes!)
    return { ok: true, exports: [], startupMs: 1 }
  } catch (error) {
    return { ok: false, message: (error as Error).message }
  }
}
