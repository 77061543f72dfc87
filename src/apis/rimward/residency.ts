/** `/rimward/v1/residency` and `/rimward/v1/audit`: where things may be, and where they are (`rimward residency`, `audit`). */
import { Hono } from 'hono'
import type { Control } from '#/control/control.ts'
import type { Placed, PlacedKind } from '#/control/placements.ts'
import { Refusal } from '#/control/refusal.ts'
import type { AuditReport } from '#/core/holdings.ts'
import type { Within } from '#/core/pops.ts'
import { describeWithin, parseWithin } from '#/core/residency.ts'
import { Problem } from './problem.ts'
import { residencyWish } from './schemas.ts'

/** A store as people know it: by id, or by name among those of its kind. */
export interface KnownStore {
  readonly kind: Extract<
    PlacedKind,
    | 'kv'
    | 'config'
    | 'secret'
    | 'access-list'
    | 'sql'
    | 'bucket'
    | 'queue'
    | 'workflow'
    | 'dataset'
    | 'server'
    | 'certificate'
  >
  readonly id: string
  readonly name: string
}

export interface ResidencyOptions {
  readonly control: Pick<Control, 'programs' | 'sites' | 'services' | 'placements' | 'setPlacement'>
  readonly stores: () => Promise<readonly KnownStore[]>
  /** Looks at what every reachable node holds. */
  readonly audit: () => Promise<AuditReport>
}

interface Named extends Placed {
  readonly name: string
}

/** Kinds as people write them before a colon. */
const words: Readonly<Record<string, PlacedKind>> = {
  site: 'site',
  program: 'program',
  service: 'service',
  kv: 'kv',
  config: 'config',
  secret: 'secret',
  acl: 'access-list',
  'access-list': 'access-list',
  sql: 'sql',
  d1: 'sql',
  bucket: 'bucket',
  r2: 'bucket',
  queue: 'queue',
  workflow: 'workflow',
  dataset: 'dataset',
  hyperdrive: 'server',
  server: 'server',
  certificate: 'certificate',
}

/** Paths begin at `/rimward/v1`. The caller has been authenticated. */
export function residencyRoutes(options: ResidencyOptions): Hono {
  const { control } = options
  const app = new Hono()

  app.get('/residency', async (c) => {
    const all = await everything(options)
    return c.json({ residency: control.placements().map((record) => view(record, all)) })
  })

  app.put('/residency', async (c) => {
    const parsed = residencyWish.safeParse(await c.req.json().catch(() => undefined))
    if (!parsed.success) throw new Problem('bad_request', `Give {"name", "within"}: ${parsed.error.issues[0]!.message}`)
    const { name, within } = parsed.data
    const read = parseWithin(within)
    if (!read.ok) throw new Problem('bad_request', read.why)
    const all = await everything(options)
    const placed = findPlaced(name, all)
    try {
      await control.setPlacement({ kind: placed.kind, id: placed.id }, read.within)
    } catch (refusal) {
      if (refusal instanceof Refusal) throw new Problem('conflict', refusal.message)
      throw refusal
    }
    return c.json(view({ ...placed, within: read.within }, all))
  })

  app.get('/audit', async (c) => c.json(await options.audit()))
  return app
}

async function everything({ control, stores }: ResidencyOptions): Promise<readonly Named[]> {
  return [
    ...control.sites().map(({ name }) => ({ kind: 'site', id: name, name }) as const),
    ...control.programs().map(({ name }) => ({ kind: 'program', id: name, name }) as const),
    ...control.services.all().map(({ id }) => ({ kind: 'service', id, name: control.services.siteName(id) }) as const),
    ...(await stores()),
    { kind: 'log', id: 'log', name: 'log' },
  ]
}

/** `NAME`, `ID` or `KIND:NAME`; sites and programs may be named by kind before they exist. Throws a `Problem`. */
export function findPlaced(text: string, all: readonly Named[]): Named {
  const colon = text.indexOf(':')
  const kind = colon === -1 ? undefined : words[text.slice(0, colon).toLowerCase()]
  const name = kind === undefined ? text : text.slice(colon + 1)
  const found = all.filter((one) => (kind ?? one.kind) === one.kind && (one.id === name || one.name === name))
  if (found.length === 1) return found[0]!
  if (found.length > 1) {
    const ways = found.map((one) => `${one.kind}:${one.id}`).join(', ')
    throw new Problem('bad_request', `There are several called "${name.slice(0, 80)}"; name one of ${ways}.`)
  }
  if ((kind === 'site' || kind === 'program') && /^[a-z0-9][a-z0-9_-]{0,62}$/.test(name))
    return { kind, id: name, name }
  throw new Problem(
    'not_found',
    `There is no site, program, service or store "${text.slice(0, 80)}". What is still to come can be placed as site:NAME or program:NAME.`,
  )
}

function view(record: Placed & { readonly within: Within | undefined }, all: readonly Named[]) {
  const { kind, id, within } = record
  const known = all.find((one) => one.kind === kind && one.id === id)
  return {
    kind,
    id,
    name: known?.name ?? id,
    within: within === undefined ? null : [...within],
    countries: describeWithin(within),
    exists: known !== undefined,
  }
}
