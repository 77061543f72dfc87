/** Own cells on a real folder with a small backplane, as the tests of this room start them. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defaultLimits, type Limits } from '#/core/limits.ts'
import type { ProgramAnswer, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, ObjectNamespace, Program } from '#/core/snapshot.ts'
import { createOwnCells, type OwnCells } from './own-cells.ts'
import { testBlobs } from './programs-for-tests.ts'

export interface TestPlace {
  readonly folder: string
  readonly programs: Map<string, Program>
  readonly traces: unknown[]
  readonly asked: { kind: string; id: string; url: string }[]
  tracesWanted: boolean
  open(limits?: Partial<Limits>): OwnCells
  end(): Promise<void>
}

export async function openPlace(): Promise<TestPlace> {
  const folder = mkdtempSync(join(tmpdir(), 'rw-'))
  mkdirSync(join(folder, 'objects'))
  const opened: OwnCells[] = []
  const place: TestPlace = {
    folder,
    programs: new Map(),
    traces: [],
    asked: [],
    tracesWanted: false,
    open(limits = {}) {
      const cells = createOwnCells({
        folder: join(folder, `run${opened.length}`),
        objectsFolder: join(folder, 'objects'),
        backplane: join(folder, 'backplane'),
        blobs: testBlobs,
        open: (sealed) => sealed,
        objectsOf: (name) => place.programs.get(name)?.objects,
        traces: { wanted: () => place.tracesWanted },
        limits: { ...defaultLimits, ...limits },
        clock: Date.now,
      })
      opened.push(cells)
      return cells
    },
    async end() {
      await Promise.all(opened.map((cells) => cells.close()))
      server.close()
      server.closeAllConnections()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  const server = createServer({ requireHostHeader: false }, (request, response) => {
    answer(place, opened.at(-1)!, request, response).catch((error: Error) => response.writeHead(500).end(error.message))
  })
  await new Promise<void>((resolve) => server.listen(join(folder, 'backplane'), resolve))
  return place
}

async function answer(place: TestPlace, cells: OwnCells, request: IncomingMessage, response: ServerResponse) {
  const kind = String(request.headers['rimward-kind'])
  const id = String(request.headers['rimward-id'])
  place.asked.push({ kind, id, url: request.url! })
  const body = Buffer.concat(await request.toArray()).toString()
  if (kind === 'trace')
    place.traces.push(...(JSON.parse(body) as object[]).map((trace) => ({ ...trace, deployment: id })))
  if (kind !== 'reach') return void response.end(`${kind} of ${id}: ${request.url}`)
  const { program, entrypoint, props } = JSON.parse(body) as { program: string; entrypoint?: string; props?: object }
  const found = place.programs.get(program)
  if (found === undefined) return void response.writeHead(404).end(`no program ${program}`)
  response.end(JSON.stringify({ ...(await cells.reach(found)), entrypoint, props }))
}

export function programOf(deployments: readonly Deployment[], objects: readonly ObjectNamespace[] = []): Program {
  const percent = 100 / deployments.length
  const rollout = deployments.map((deployment) => ({ deployment, percent }))
  return { name: deployments[0]!.program, rollout, objects }
}

export function get(path: string, more: Partial<ProgramRequest> = {}): ProgramRequest {
  const plain = { method: 'GET', scheme: 'https', authority: 'shop.example', path, body: null } as const
  return {
    ...plain,
    headers: [],
    cf: '{"colo":"here"}',
    id: '0123456789abcdef',
    client: { address: '192.0.2.1', port: 40_000 },
    serverAddress: '192.0.2.2',
    httpVersion: '1.1',
    received: [],
    wantsUpgrade: false,
    signal: new AbortController().signal,
    ...more,
  }
}

export async function textOf(answered: Promise<ProgramAnswer> | ProgramAnswer): Promise<string> {
  const { body } = await answered
  if (body === null) return ''
  return (body instanceof Uint8Array ? Buffer.from(body) : Buffer.concat(await body.toArray())).toString()
}

/** Waits for a condition that becomes true by itself. */
export async function until(condition: () => boolean | Promise<boolean>, limitMs = 10_000): Promise<void> {
  const end = Date.now() + limitMs
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('The condition did not come true.')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
