/** What `docs/compatibility.md` says of D1. Each row is proven by a test of `test/d1.test.ts`. */
import type { Row } from './rows.ts'

const proof = (title: string) => ({ file: 'd1.test.ts', title })

export const d1Rows: readonly Row[] = [
  {
    feature: 'D1: `prepare`, `bind`, `all`, `first`, `run`, `raw`, `batch`, `exec`',
    state: 'works',
    proof: proof('a database is made, bound, deployed and used'),
  },
  {
    feature: 'D1: `withSession`, `getBookmark`',
    state: 'works',
    note: 'every read is at the home, so any bookmark is old enough',
    proof: proof('a session sees what was written before, by its bookmark'),
  },
  {
    feature: 'D1: errors with their texts and places, limits',
    state: 'works',
    proof: proof('what a program does wrong, it is told in the vendor’s words'),
  },
  {
    feature: 'D1: `dump`',
    state: 'refused',
    note: 'for databases of the alpha: use `wrangler d1 export`',
    proof: proof('what a program does wrong, it is told in the vendor’s words'),
  },
  {
    feature: 'D1: bindings without `database_id`',
    state: 'works',
    note: '`wrangler deploy` makes the database',
    proof: proof('a binding without an id gets a database of its own'),
  },
  { feature: 'D1: a batch is whole or not at all', state: 'works', proof: proof('a batch is whole or not at all') },
]

export const d1Commands: readonly Row[] = [
  {
    feature: '`d1 migrations list`, `apply`',
    state: 'works',
    proof: proof('migrations are applied once, each whole or not at all'),
  },
  {
    feature: '`d1 time-travel info`, `restore`',
    state: 'works differently',
    note: 'to any commit that the history of the database holds: 30 days, at most `sqlHistoryBytes`',
    proof: proof('a database goes back to a bookmark or a time'),
  },
  {
    feature: '`d1 execute --file`, `d1 export`',
    state: 'works',
    note: 'queries are answered while an export runs',
    proof: proof('a file of SQL is taken in, and comes out again'),
  },
  {
    feature: '`d1 create`, `list`, `info`, `execute --command`, `delete`',
    state: 'works',
    proof: proof('wrangler lists, describes, asks and deletes databases'),
  },
]
