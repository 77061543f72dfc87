/** `/rimward/v1/invites` and `/rimward/v1/pops/NODE`: who may join the platform, and who is no longer part of it. */
import { Hono } from 'hono'
import type { CountryCode, NodeId, PopId } from '#/core/pops.ts'
import type { EpochMs, Seconds } from '#/core/units.ts'
import { Problem } from './problem.ts'
import { readBody } from './read-body.ts'
import { inviteBody } from './schemas.ts'

/** Absent where all nodes are in this process: nobody can join then. */
export interface Members {
  invite(wish: {
    readonly pop?: PopId
    readonly country?: CountryCode
    readonly lifeSeconds?: Seconds
  }): Promise<{ readonly token: string; readonly expiresAt: EpochMs }>
  /** False: there is no such node. */
  forget(node: NodeId): Promise<boolean>
}

export function memberRoutes(members: Members | undefined): Hono {
  const app = new Hono()
  app.post('/invites', async (c) => {
    const { pop, country, lifeSeconds } = await readBody(c.req, inviteBody)
    const { token, expiresAt } = await joined().invite({
      ...(pop !== undefined && { pop }),
      ...(country !== undefined && { country }),
      ...(lifeSeconds !== undefined && { lifeSeconds }),
    })
    return c.json({ token, expiresAt: new Date(expiresAt).toISOString() }, 201)
  })
  app.delete('/pops/:node', async (c) => {
    const node = c.req.param('node')
    if (await joined().forget(node)) return c.body(null, 204)
    throw new Problem('not_found', `There is no node "${node.slice(0, 80)}" on this platform.`)
  })

  function joined(): Members {
    if (members !== undefined) return members
    throw new Problem('conflict', 'All of this platform is in one process; machines join where it runs with --join.')
  }
  return app
}
