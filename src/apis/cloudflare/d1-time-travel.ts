/** Cloudflare's calls for Time Travel (https://developers.cloudflare.com/d1/reference/time-travel/). */
import { type Context, Hono } from 'hono'
import { type D1RoutesParts, d1Path } from './d1.ts'
import { askDatabase, requireDatabase } from './d1-request.ts'
import { ok, VendorError } from './envelope.ts'

export function d1TimeTravelRoutes(parts: D1RoutesParts): Hono {
  const app = new Hono()

  /** The bookmark of a time, or of now. */
  async function bookmarkOf(c: Context): Promise<string> {
    const { timestamp } = c.req.query()
    const time = timestamp === undefined ? undefined : Date.parse(timestamp)
    if (Number.isNaN(time)) throw new VendorError(400, 7400, 'Invalid property: timestamp => use ISO 8601')
    const found = requireDatabase(c, parts)
    const { head } = await askDatabase(parts, found, { operation: 'bookmark', head: { time } })
    return orRefuse(head.refused, head.bookmark)
  }

  app.get(`${d1Path}/:database/time_travel/bookmark`, async (c) => ok(c, { bookmark: await bookmarkOf(c) }))

  app.post(`${d1Path}/:database/time_travel/restore`, async (c) => {
    const { bookmark: asked, timestamp } = c.req.query()
    if ((asked === undefined) === (timestamp === undefined))
      throw new VendorError(400, 7400, 'Name either a bookmark or a timestamp.')
    const found = requireDatabase(c, parts)
    const wanted = asked ?? (await bookmarkOf(c))
    const { head } = await askDatabase(parts, found, { operation: 'restore', head: { bookmark: wanted } })
    const bookmark = orRefuse(head.refused, head.bookmark)
    const message = `Database restored back to the bookmark ${bookmark}.`
    return ok(c, { bookmark, previous_bookmark: head.previous, message })
  })
  return app
}

function orRefuse(refused: unknown, bookmark: unknown): string {
  if (typeof refused === 'string') throw new VendorError(400, 7500, refused)
  return String(bookmark)
}
