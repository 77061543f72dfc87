/**
 * `PURGE` on a site's address drops what the shared cache keeps of it. https://www.fastly.com/documentation/reference/api/purging/
 */
import type { Answer } from '#/core/exchange.ts'
import { publicUrl } from '#/core/purge-wishes.ts'
import type { TakePurge } from '#/core/tiers.ts'
import { headerValue } from '#/http/header-list.ts'
import { tokenOf } from '#/http/same-secret.ts'
import type { OriginExchange } from './origin-exchange.ts'

/** Handed over in `pop.ts`; without it `PURGE` is a method like any other. */
export interface PurgePort {
  readonly purge: TakePurge
  mayPurge(token: string | undefined): boolean
}

/** Answers as Fastly does: 401 without a token, 403 with a wrong one. `url` is the path as the rules of the site leave it. */
export async function answerPurge(
  exchange: OriginExchange,
  site: string,
  url: string,
  { purge, mayPurge }: PurgePort,
): Promise<Answer> {
  const { headers } = exchange
  const token = tokenOf(headerValue(headers, 'fastly-key'), headerValue(headers, 'authorization'))
  if (token === undefined) return json(401, { msg: 'Provided credentials are missing or invalid' })
  if (!mayPurge(token)) return json(403, { msg: 'You are not authorized to perform this action' })
  const soft = headerValue(headers, 'fastly-soft-purge') === '1'
  const what = { kind: 'url' as const, url: publicUrl(exchange.scheme, exchange.host, url) }
  const { id } = await purge([{ scope: site, soft, what }])
  return json(200, { status: 'ok', id })
}

function json(status: number, body: object): Answer {
  const headers = ['content-type', 'application/json', 'cache-control', 'no-store']
  if (status === 401) headers.push('www-authenticate', 'Bearer')
  return { status, headers, body: Buffer.from(`${JSON.stringify(body)}\n`) }
}
