/** Rows of R2: the binding's methods, wrangler's commands. */
import type { Proof, Row } from './rows.ts'

const works = (feature: string, proof: Proof): Row => ({ feature, state: 'works', proof })
const story = (title: string): Proof => ({ file: 'r2.test.ts', title })
const basics = story('a bucket is made, bound, filled and emptied')

export const r2Binding: readonly Row[] = [works('R2: `head`, `get`, `put`, `delete`, `list`', basics)]

export const r2Commands: readonly Row[] = [works('`r2 bucket create`, `r2 bucket list`', basics)]
