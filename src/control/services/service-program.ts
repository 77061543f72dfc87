/**
 * Services whose versions are programs: what the active version means, in our nouns, and the program and site made of it.
 */
import { z } from 'zod'
import type { ComputeCode } from '#/core/compute.ts'
import type { Lookups } from '#/core/delivery-rules.ts'
import type { Deployment, Program, Site } from '#/core/snapshot.ts'
import { poolRecord } from '../site-form.ts'

const origins = poolRecord.shape.origins as unknown as z.ZodType<ComputeCode['backends']>

const store = z.object({
  kind: z.enum(['kv', 'config', 'secret', 'access-list']),
  name: z.string(),
  store: z.string(),
})

const log = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('log'), name: z.string() }),
  z.object({
    kind: z.literal('http'),
    name: z.string(),
    url: z.string(),
    method: z.enum(['POST', 'PUT']),
    contentType: z.exactOptional(z.string()),
    header: z.exactOptional(z.tuple([z.string(), z.string()])),
  }),
  z.object({ kind: z.literal('syslog'), name: z.string(), host: z.string(), port: z.number(), tls: z.boolean() }),
])

/** What a door makes of the parts of a version. */
const meaning = {
  hostnames: z.array(z.string()),
  /** Answers at its local name too, though it has hostnames. */
  local: z.exactOptional(z.literal(true)),
  module: z.string(),
  bytes: z.number(),
  backends: origins,
  stores: z.array(store),
  logs: z.array(log),
  /** Ids of the service's tables, by name. */
  tables: z.record(z.string(), z.string()),
}

const design = z.object(meaning)

/** The active version as it is recorded: with the deployment that was proven. */
export const programDesign = design.extend({
  deployment: z.object({ id: z.string(), createdAt: z.number(), startupMs: z.number() }),
})

export type ComputeDesign = z.infer<typeof design>
export type ProgramDesign = z.infer<typeof programDesign>

interface Placed {
  readonly service: string
  readonly version: number
  /** Name of the program and of its site. */
  readonly name: string
}

export function buildDeployment({ service, version, name }: Placed, made: ProgramDesign): Deployment {
  return {
    id: made.deployment.id,
    program: name,
    number: version,
    createdAt: made.deployment.createdAt,
    compute: {
      module: made.module,
      bytes: made.bytes,
      service: { id: service, version },
      backends: made.backends,
      stores: made.stores,
      logs: made.logs as ComputeCode['logs'],
    },
    bindings: [],
    limits: {},
    startupMs: made.deployment.startupMs,
  }
}

export function buildServiceProgram(
  placed: Placed,
  made: ProgramDesign,
  staged: { readonly version: number; readonly program: ProgramDesign } | undefined,
  lookups: Lookups,
): Program {
  const rollout: Program['rollout'][number][] = [{ deployment: buildDeployment(placed, made), percent: 100 }]
  if (staged !== undefined) {
    const deployment = buildDeployment({ ...placed, version: staged.version }, staged.program)
    rollout.push({ deployment: { ...deployment, staged: true }, percent: 0 })
  }
  return {
    name: placed.name,
    rollout,
    objects: [],
    lookups,
  }
}

/** `suffix` as in `localhost`: a service without a domain answers below it. */
export function programHostnames(
  name: string,
  { hostnames, local }: Pick<ComputeDesign, 'hostnames' | 'local'>,
  suffix: string,
): readonly string[] {
  return hostnames.length === 0 || local ? [`${name}.${suffix}`, ...hostnames] : hostnames
}

export function buildProgramServiceSite(name: string, made: ProgramDesign, suffix: string): Site {
  return {
    name,
    hostnames: programHostnames(name, made, suffix),
    routes: [],
    target: { kind: 'program', program: name },
  }
}
