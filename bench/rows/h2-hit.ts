/** Cache hits on HTTP/2 over TLS: the whole node beside nginx, with one and with ten requests at once a connection. */
import { nginxH2, rimwardH2 } from '../peers/h2.ts'
import { smallPage } from '../peers/kept-page.ts'
import type { BenchRow } from '../row.ts'
import { contestRow } from './contest.ts'
import { h2load, h2loadVersion } from './h2-load.ts'

const connections = 32

function row(name: string, streams: number): BenchRow {
  return contestRow({
    name,
    title: `Cache hit: 1 KB, HTTP/2 over TLS, whole node, ${connections} connections, ${streams} at once`,
    how: `Load by h2load ${h2loadVersion() ?? '(not installed)'}, TLS 1.3, certificates on P-256. nginx has one worker and the page in its cache.`,
    pageBytes: smallPage.bytes,
    peers: [nginxH2(smallPage), rimwardH2(smallPage)],
    load: (target, seconds) => h2load({ target, connections, streams, seconds: Math.max(1, Math.round(seconds)) }),
  })
}

export const h2Rows: readonly BenchRow[] = [row('h2-hit', 1), row('h2-hit-10', 10)]
