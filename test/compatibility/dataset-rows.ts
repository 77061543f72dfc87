/** Rows of datasets (Analytics Engine): the binding's one method, and the SQL API. */
import type { Proof, Row } from './rows.ts'

const story = (title: string): Proof => ({ file: 'datasets.test.ts', title })

export const datasetBinding: readonly Row[] = [
  {
    feature: 'Analytics Engine: `writeDataPoint({ blobs, doubles, indexes })`',
    state: 'works differently',
    note: 'no limit of points in one request; infinite doubles are kept as NaN, bytes that are no UTF-8 as U+FFFD',
    proof: story('many points of one request, those of objects, and values of every kind'),
  },
  {
    feature: 'Analytics Engine: limits of a point and their error texts',
    state: 'works',
    proof: story('points over the limits throw what the runtime throws at Cloudflare'),
  },
  {
    feature: 'Analytics Engine: SQL API, all documented statements, functions and formats',
    state: 'works differently',
    note: 'nothing is sampled (`_sample_interval` is 1); a dataset is there from its first deploy, not its first point',
    proof: story('the real curl asks as the documentation says'),
  },
]
