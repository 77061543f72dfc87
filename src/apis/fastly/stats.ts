/**
 * What services answered, over time and by the second. https://www.fastly.com/documentation/reference/api/metrics-stats/
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Context, Hono } from 'hono'
import { type StatsCounter, type StatsRow, statsPeriods, sumRows } from '#/core/site-stats.ts'
import type { FastlyApiDeps } from './deps.ts'
import { badRequest, unsupported } from './errors.ts'

/** Fastly's names for what is counted; bytes are those of bodies. */
const names: Readonly<Record<string, StatsCounter>> = {
  requests: 'requests',
  hits: 'hits',
  miss: 'misses',
  pass: 'passes',
  errors: 'errors',
  req_body_bytes: 'bytesIn',
  resp_body_bytes: 'bytesOut',
  bandwidth: 'bytesOut',
  http2: 'http2',
  tls: 'tls',
  tls_v12: 'tls12',
  tls_v13: 'tls13',
  ...Object.fromEntries((['1xx', '2xx', '3xx', '4xx', '5xx'] as const).map((name) => [`status_${name}`, name])),
  ...Object.fromEntries(
    (['200', '204', '206', '301', '302', '304', '400', '401', '403', '404', '416'] as const).map((name) => [
      `status_${name}`,
      name,
    ]),
  ),
  ...Object.fromEntries((['500', '501', '502', '503', '504', '505'] as const).map((name) => [`status_${name}`, name])),
}

const periods = { minute: 'minute', hour: 'hour', day: 'day' } as const
/** How far back each begins where the call does not say, s. */
const usualSpan = { minute: 2 * 3_600, hour: 2 * 86_400, day: 30 * 86_400 } as const
/** Of seconds that are over, which a call may ask for. */
const realtimeSeconds = 120

export function statsRoutes({ control: { services }, stats, clock }: FastlyApiDeps): Hono {
  const routes = new Hono()
  const now = () => Math.floor(clock() / 1000)

  function history(
    c: Context,
    sites: readonly string[],
  ): { readonly rows: readonly StatsRow[]; readonly meta: object } {
    const by = readPeriod(c.req.query('by'))
    const region = c.req.query('region')
    if (region !== undefined && region !== '') throw unsupported(`The region '${region.slice(0, 40)}' of statistics is`)
    const to = readTime(c.req.query('to'), now()) ?? now() + 1
    const from = readTime(c.req.query('from'), now()) ?? to - usualSpan[by]
    const rows = sumRows(sites.flatMap((site) => stats.map(({ counts }) => counts.rows(site, { by, from, to }))))
    return { rows, meta: { by, from: timeText(from), to: timeText(to), region: 'all' } }
  }

  const answer = (c: Context, meta: object, data: unknown) => c.json({ status: 'success', meta, msg: null, data })
  const siteOf = (c: Context) => services.siteName(services.service(c.req.param('service')!).id)

  routes.get('/stats/service/:service', (c) => {
    const { id } = services.service(c.req.param('service'))
    const { rows, meta } = history(c, [siteOf(c)])
    return answer(
      c,
      meta,
      rows.map((row) => ({ service_id: id, start_time: row.start, ...view(row) })),
    )
  })
  routes.get('/stats/service/:service/field/:field', (c) => {
    const field = c.req.param('field')
    if (!Object.hasOwn(names, field)) throw unsupported(`The field '${field.slice(0, 60)}' of statistics is`)
    const { rows, meta } = history(c, [siteOf(c)])
    return answer(
      c,
      meta,
      rows.map((row) => ({ start_time: row.start, [field]: row.counters[names[field]!] })),
    )
  })
  routes.get('/stats/aggregate', (c) => {
    const { rows, meta } = history(
      c,
      services.all().map(({ id }) => services.siteName(id)),
    )
    return answer(
      c,
      meta,
      rows.map((row) => ({ start_time: row.start, ...view(row) })),
    )
  })
  for (const what of ['/stats/usage', '/stats/usage_by_service', '/stats/usage_by_month', '/stats/regions', '/stats/*'])
    routes.all(what, (c) => {
      throw unsupported(`${c.req.path.slice(0, 80)} is`)
    })

  routes.get('/v1/channel/:service/ts/:from/:limit?/:count?', async (c) => {
    const site = siteOf(c)
    const from = /^\d{1,11}$/.test(c.req.param('from')) ? Number(c.req.param('from')) : 0
    // As at Fastly: the first call learns the time, each later one waits for a second that it has not seen.
    if (from >= now()) await sleep(Math.min(2_000, (from + 1) * 1000 - clock()))
    const to = now()
    const since = from === 0 ? to - 1 : Math.max(from, to - realtimeSeconds)
    const seconds = { by: 'second', from: since, to } as const
    const all = stats.map(({ pop, counts }) => ({ pop, rows: counts.rows(site, seconds) }))
    const data = sumRows(all.map(({ rows }) => rows)).map((row) => ({
      recorded: row.start,
      aggregated: view(row),
      datacenter: Object.fromEntries(
        all.flatMap(({ pop, rows }) => rows.filter(({ start }) => start === row.start).map((one) => [pop, view(one)])),
      ),
    }))
    return c.json({ Timestamp: Math.max(to, from), AggregateDelay: 1, Data: data })
  })
  return routes
}

function view({ counters }: StatsRow): Record<string, number> {
  const { hits, misses } = counters
  const all = Object.fromEntries(Object.entries(names).map(([name, counter]) => [name, counters[counter]]))
  return { ...all, hit_ratio: hits + misses === 0 ? 0 : hits / (hits + misses) }
}

function readPeriod(text: string | undefined): keyof typeof periods {
  if (text === undefined || text === '') return 'day'
  if (!Object.hasOwn(periods, text)) throw badRequest(`by is minute, hour or day, not '${text.slice(0, 40)}'.`)
  return text as keyof typeof periods
}

/** Unix time, a date (RFC 3339), `now`, or `2 hours ago`. */
function readTime(text: string | undefined, now: number): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^\d{1,11}$/.test(text)) return Number(text)
  if (text === 'now') return now
  const ago = /^(\d{1,6}) (second|minute|hour|day)s? ago$/.exec(text)
  if (ago !== null) return now - Number(ago[1]) * statsPeriods[ago[2] as keyof typeof statsPeriods]
  const date = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(date)) throw badRequest(`'${text.slice(0, 40)}' is not a time that is understood.`)
  return Math.floor(date / 1000)
}

function timeText(seconds: number): string {
  return new Date(seconds * 1000).toUTCString()
}
