/** The wire protocol of the runtime's own D1 binding (workerd: src/cloudflare/internal/d1-api.ts). */
import { toEdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import { headerValue } from '#/http/header-list.ts'
import { type BackplaneHandler, textAnswer } from './backplane.ts'
import { smallBody } from './small-body.ts'

/** Asks for the state after this bookmark, and tells the newest one. */
const bookmarkField = 'x-cf-d1-session-commit-token'

/** The id is the database's. Every database has one home, which answers all reads: any bookmark is old enough there. */
export function sqlHandler({ homed }: { readonly homed: Pick<HomedStores, 'call'> }): BackplaneHandler {
  return async ({ id, method, url, headers, body, signal }) => {
    const [pathname, query] = url.split('?', 2)
    if (method !== 'POST') return textAnswer(405, 'Only POST is known here.')
    if (pathname === '/dump') return textAnswer(501, 'dump() is gone; use wrangler d1 export')
    if (pathname !== '/query' && pathname !== '/execute') return textAnswer(404, 'There is nothing here.')
    const columns = new URLSearchParams(query).get('resultsFormat') === 'ROWS_AND_COLUMNS'
    const wish = { columns, ...bookmarkOf(headerValue(headers, bookmarkField)) }
    try {
      const asked = await smallBody({ body, headers })
      const answer = await homed.call({ kind: 'sql', id, operation: 'query', head: wish, body: asked, signal })
      return { status: 200, headers: fields(answer.head.bookmark, answer.body), body: answer.body }
    } catch (thrown) {
      return refused(toEdgeError(thrown).message)
    }
  }
}

function bookmarkOf(field: string | undefined): { readonly after?: string } {
  const isConstraint = field === 'first-primary' || field === 'first-unconstrained'
  return field === undefined || isConstraint ? {} : { after: field }
}

function fields(bookmark: unknown, body: Answer['body']): string[] {
  const told = ['content-type', 'application/json']
  if (body instanceof Uint8Array) told.push('content-length', String(body.length))
  if (typeof bookmark === 'string') told.push(bookmarkField, bookmark)
  return told
}

/** The binding throws it as `D1_ERROR: …`. */
function refused(error: string): Answer {
  const body = Buffer.from(JSON.stringify({ success: false, error }))
  return { status: 200, headers: fields(undefined, body), body }
}
