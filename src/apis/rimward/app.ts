/**
 * Our own door: `/rimward/v1/…`, `/metrics`, `/healthz`, `/readyz` and the page at `/`. The vendors' doors are mounted
 * beside it on the same port.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { Hono, type MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import type { z } from 'zod'
import type { Rollout } from '#/control/canary.ts'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { OriginState } from '#/core/origin.ts'
import type { Traces } from '#/core/traces.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { openapiDocument } from './openapi.ts'
import { pageRoutes } from './page.ts'
import { Problem, problemResponse } from './problem.ts'
import { readBody } from './read-body.ts'
import {
  type Addresses,
  type Check,
  type CopiesView,
  type NewSite,
  newSite,
  type originStateView,
  type PopView,
  type ProgramView,
  rolloutBody,
  type SiteChangeBody,
  type SiteView,
  type Status,
  siteChange,
} from './schemas.ts'
import { streamLogs } from './stream-logs.ts'

type Awaitable<T> = T | Promise<T>

/** What this door needs of the control plane. */
export interface RimwardControl {
  programs(): Awaitable<readonly ProgramView[]>
  sites(): Awaitable<readonly SiteView[]>
  /** `taken` when a site or program has this name already, or another site one of the hosts; `by` says which. */
  addSite(
    site: NewSite,
  ): Promise<{ readonly ok: true; readonly site: SiteView } | { readonly ok: false; readonly taken: string }>
  /** Undefined when there is no such site, or it belongs to a service. Rejects with a `Problem`. */
  changeSite(name: string, change: SiteChangeBody): Promise<SiteView | undefined>
  /** False when there is no such site, or it belongs to a program. */
  removeSite(name: string): Promise<boolean>
}

export interface RimwardInfo {
  readonly version: string
  readonly pop: string
  readonly accountId: string
  readonly startedAt: EpochMs
  readonly addresses: () => Addresses
  readonly pops: () => Awaitable<readonly PopView[]>
  /** Of what the nodes share; none where it is on this machine. */
  readonly copies: () => Promise<readonly CopiesView[]>
  readonly rollout: Pick<Rollout, 'setting' | 'set'>
  /** What must hold before this node takes traffic; asked for by `/readyz`. */
  readonly checks: () => Awaitable<readonly Check[]>
}

export interface RimwardApiOptions {
  readonly control: RimwardControl
  readonly traces: Pick<Traces, 'listen'>
  /** What is known here of a site's origins; absent: nothing. */
  readonly origins?: (site: string) => readonly OriginState[]
  /** `/egress-rules`, mounted at `/rimward/v1`. */
  readonly egressRules: Hono
  /** `/certificates`, `/tls` and `/acme`, mounted at `/rimward/v1`. */
  readonly certificates: Hono
  /** `/purge`, mounted at `/rimward/v1`. */
  readonly purge: Hono
  /** `/invites` and `/pops/NODE`, mounted at `/rimward/v1`. */
  readonly members: Hono
  /** `/residency` and `/audit`, mounted at `/rimward/v1`. */
  readonly residency: Hono
  /** The shape of prom-client's `Registry`. */
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> }
  readonly token: string
  readonly info: RimwardInfo
  readonly clock: Clock
  /** Told of bugs: what was thrown and the call it belongs to. */
  readonly log: (message: string, error: unknown) => void
  readonly limits: Pick<Limits, 'rimwardApiBodyBytes' | 'logReaders' | 'logReaderLines' | 'logKeepAliveMs'>
}

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

function bearer(token: string): MiddlewareHandler {
  const wanted = digest(token)
  return async (c, next) => {
    const given = /^bearer +(\S+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
    if (given === undefined || !timingSafeEqual(digest(given), wanted)) {
      c.header('www-authenticate', 'Bearer')
      return problemResponse(
        c,
        'unauthorized',
        'This needs the header "Authorization: Bearer TOKEN"; the token lies in D/token.',
      )
    }
    await next()
    return
  }
}

async function status(options: RimwardApiOptions): Promise<Status> {
  const { info, control } = options
  const checks = [...(await info.checks())]
  return {
    version: info.version,
    pop: info.pop,
    accountId: info.accountId,
    startedAt: new Date(info.startedAt).toISOString(),
    addresses: info.addresses(),
    programs: (await control.programs()).length,
    sites: (await control.sites()).length,
    ready: checks.every((check) => check.ready),
    checks,
  }
}

function siteRoutes({ control, origins }: RimwardApiOptions): Hono {
  const app = new Hono()
  app.get('/', async (c) => c.json({ sites: await control.sites() }))
  app.post('/', async (c) => {
    const added = await control.addSite(await readBody(c.req, newSite))
    if (!added.ok) throw new Problem('conflict', added.taken)
    return c.json(added.site, 201)
  })
  app.get('/:name', async (c) => c.json(await findSite(c.req.param('name'))))
  app.get('/:name/origins', async (c) => {
    const { name } = await findSite(c.req.param('name'))
    return c.json({ origins: (origins?.(name) ?? []).map(originState) })
  })
  app.patch('/:name', async (c) => {
    const name = c.req.param('name')
    const site = await control.changeSite(name, await readBody(c.req, siteChange))
    if (site !== undefined) return c.json(site)
    await findSite(name)
    throw new Problem('conflict', `Site "${name}" belongs to a program or a service; change that instead.`)
  })
  app.delete('/:name', async (c) => {
    const name = c.req.param('name')
    if (await control.removeSite(name)) return c.body(null, 204)
    await findSite(name)
    throw new Problem('conflict', `Site "${name}" belongs to a program; delete the program instead.`)
  })

  async function findSite(name: string): Promise<SiteView> {
    const site = (await control.sites()).find((one) => one.name === name)
    if (site === undefined) throw new Problem('not_found', `There is no site "${name}".`)
    return site
  }
  return app
}

/** Without the site's name, which the path says, and with times as text. */
function originState({ site: _site, check, ...rest }: OriginState): z.infer<typeof originStateView> {
  if (check === undefined) return rest
  const { last, since, ...counts } = check
  const at = (time: EpochMs) => new Date(time).toISOString()
  return { ...rest, check: { ...counts, since: at(since), ...(last && { last: { ...last, at: at(last.at) } }) } }
}

function programRoutes({ control, traces, limits }: RimwardApiOptions): Hono {
  const app = new Hono()
  let readers = 0
  app.get('/', async (c) => c.json({ programs: await control.programs() }))
  app.get('/:name/logs', async (c) => {
    const program = c.req.param('name')
    const known = (await control.programs()).some((one) => one.name === program)
    if (!known) throw new Problem('not_found', `There is no program "${program}".`)
    if (readers >= limits.logReaders) throw new Problem('too_many_readers', `${readers} readers follow logs already.`)
    const format = (c.req.header('accept') ?? '').includes('text/event-stream') ? 'events' : 'ndjson'
    const body = streamLogs({
      traces,
      program,
      format,
      queueLines: limits.logReaderLines,
      keepAliveMs: limits.logKeepAliveMs,
      onClose: () => {
        readers -= 1
      },
    })
    readers += 1
    const type = format === 'events' ? 'text/event-stream' : 'application/x-ndjson'
    return c.body(body, 200, { 'content-type': type, 'cache-control': 'no-store' })
  })
  return app
}

/** The door as one Hono app for the root of the control port; unknown paths under `/rimward/` are refused by name. */
export function createRimwardApi(options: RimwardApiOptions): Hono {
  const { info, metrics, limits } = options
  const app = new Hono()
  app.use('/rimward/*', bearer(options.token))
  app.use(
    '/rimward/*',
    bodyLimit({
      maxSize: limits.rimwardApiBodyBytes,
      onError: (c) =>
        problemResponse(c, 'body_too_large', `The body is larger than ${limits.rimwardApiBodyBytes} bytes.`),
    }),
  )
  const document = openapiDocument(info.version)
  app.get('/rimward/v1/openapi.json', (c) => c.json(document))
  app.get('/rimward/v1/status', async (c) => c.json(await status(options)))
  app.get('/rimward/v1/pops', async (c) => c.json({ pops: await info.pops() }))
  app.get('/rimward/v1/copies', async (c) => c.json({ copies: await info.copies() }))
  app.get('/rimward/v1/rollout', async (c) => c.json({ canary: (await info.rollout.setting()) ?? null }))
  app.put('/rimward/v1/rollout', async (c) => {
    const { canary } = await readBody(c.req, rolloutBody)
    await info.rollout.set(canary ?? undefined)
    return c.json({ canary })
  })
  app.route('/rimward/v1/programs', programRoutes(options))
  app.route('/rimward/v1/sites', siteRoutes(options))
  app.route('/rimward/v1', options.egressRules)
  app.route('/rimward/v1', options.certificates)
  app.route('/rimward/v1', options.purge)
  app.route('/rimward/v1', options.members)
  app.route('/rimward/v1', options.residency)
  app.all('/rimward/*', (c) =>
    problemResponse(c, 'not_found', `There is no ${c.req.method} ${c.req.path}; see /rimward/v1/openapi.json.`),
  )
  app.get('/metrics', async (c) => c.body(await metrics.metrics(), 200, { 'content-type': metrics.contentType }))
  app.get('/healthz', (c) =>
    c.json({
      ok: true,
      version: info.version,
      pop: info.pop,
      uptimeSeconds: Math.floor((options.clock() - info.startedAt) / 1000),
    }),
  )
  app.get('/readyz', async (c) => {
    const checks = await info.checks()
    const ready = checks.every((check) => check.ready)
    return c.json({ ready, checks }, ready ? 200 : 503)
  })
  app.route('/', pageRoutes())
  app.onError((error, c) => {
    if (error instanceof Problem) return problemResponse(c, error.code, error.message)
    if (error instanceof HTTPException) return error.getResponse()
    if (error instanceof EdgeError) {
      return c.json({ error: { code: error.code, message: error.message } }, error.row.status as 500)
    }
    options.log(`${c.req.method} ${c.req.path} failed`, error)
    return problemResponse(c, 'internal', 'An unexpected error happened inside Rimward.')
  })
  return app
}
