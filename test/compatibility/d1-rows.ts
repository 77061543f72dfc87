/** What `docs/compatibility.md` says of D1. Each row is proven by a test of `test/d1.test.ts`. */
import type { Row } from './rows.ts'

const proof = (title: string) => ({ file: 'd1.test.ts', title })

export const d1Rows: readonly Row[] = [
  {
    feature: 'D1: `prepare`, `bind`, `all`, `first`, `run`, `raw`, `batch`, `exec`',
    state: 'works',
    proof: proof('a database is made, bound, deployed and used'),
  },
  { feature: 'D1: a batch is whole or not at all', state: 'works', proof: proof('a batch is whole or not at all') },
]

export const d1Commands: readonly Row[] = [
  {
    feature: '`d1 create`, `list`, `info`, `execute --command`, `delete`',
    state: 'works',
    proof: proof('wrangler lists, describes, asks and deletes databases'),
  },
]
