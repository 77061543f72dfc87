/** The SQL API of Analytics Engine: https://developers.cloudflare.com/analytics/analytics-engine/sql-api/ */
import { type Context, Hono } from 'hono'
import type { Control } from '#/control/control.ts'
import { readQuery } from '#/core/dataset-sql/read-query.ts'
import { readyQuery } from '#/core/dataset-sql/run-query.ts'
import { datasetOf, describeRefusal, type Query, SqlRefusal } from '#/core/dataset-sql/syntax.ts'
import type { Row } from '#/core/dataset-sql/values.ts'
import { contentTypes, writeOutcome } from '#/core/dataset-sql/write-outcome.ts'
import { datasetCalls } from '#/core/datasets.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock } from '#/core/units.ts'
import { readBody } from './read-body.ts'

export interface AnalyticsRoutesParts {
  readonly control: Pick<Control, 'resources'>
  readonly homed: Pick<HomedStores, 'call'>
  readonly limits: Limits
  readonly clock: Clock
}

/** What is wrong with a query is answered with 422 and a sentence, as the vendor does. */
export function analyticsRoutes(parts: AnalyticsRoutesParts): Hono {
  const app = new Hono()
  const path = '/accounts/:account/analytics_engine/sql'
  app.post(path, async (c) => answer(c, (await readBody(c, parts.limits.datasetSqlBytes)).toString(), parts))
  app.get(path, (c) => answer(c, c.req.query('query') ?? '', parts))
  return app
}

async function answer(c: Context, sql: string, parts: AnalyticsRoutesParts): Promise<Response> {
  try {
    const query = readQuery(sql)
    if (query.kind !== 'select') return c.body(show(query, parts), 200, { 'content-type': contentTypes[query.format] })
    const read = datasetOf(query.select)
    if (read === undefined) return c.body(compute(query, parts), 200, { 'content-type': contentTypes[query.format] })
    const dataset = parts.control.resources('dataset').find(({ name }) => name === read.name)
    if (dataset === undefined) throw new SqlRefusal(`unknown table: ${read.name.slice(0, 80)}`, read.at)
    const told = await datasetCalls(parts.homed).query(dataset.id, sql, c.req.raw.signal)
    if ('refused' in told) return c.text(told.refused, 422)
    return c.body(told.text, 200, { 'content-type': told.contentType })
  } catch (thrown) {
    if (!(thrown instanceof SqlRefusal)) throw thrown
    return c.text(describeRefusal(thrown, sql), 422)
  }
}

/** Without FROM there is nothing to read: one row of what the expressions are. */
function compute(query: Extract<Query, { kind: 'select' }>, { clock }: AnalyticsRoutesParts): string {
  const ready = readyQuery(query.select, '', { now: Math.floor(clock() / 1000) })
  return writeOutcome(
    ready.columns,
    ready.run([], () => {}),
    query.format,
  )
}

function show({ kind, format }: Query, { control }: AnalyticsRoutesParts): string {
  const names = { tables: 'dataset', timezones: 'timezone', timezone: 'timezone', select: '' }
  const values = {
    tables: () => control.resources('dataset').map(({ name }) => name),
    timezones: () => Intl.supportedValuesOf('timeZone'),
    timezone: () => ['Etc/UTC'],
    select: () => [],
  }
  const rows: Row[] = values[kind]().map((value) => [value])
  return writeOutcome([{ name: names[kind], type: 'String' }], { rows, before: rows.length }, format)
}
