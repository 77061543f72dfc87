/** All calls for databases. */
import { Hono } from 'hono'
import { d1Routes } from './d1.ts'
import { d1TimeTravelRoutes } from './d1-time-travel.ts'
import { type D1TransferParts, d1TransferRoutes } from './d1-transfers.ts'

export function allD1Routes(parts: D1TransferParts): Hono {
  const app = new Hono()
  for (const routes of [d1Routes(parts), d1TransferRoutes(parts), d1TimeTravelRoutes(parts)]) app.route('/', routes)
  return app
}
