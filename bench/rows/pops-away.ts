/** A point of presence that is cut off for a minute while the others deploy and purge. */
import { openShop } from '../../test/support/cut-off-pop.ts'
import { startDistantPops } from '../../test/support/distant-pops.ts'
import type { BenchRow } from '../row.ts'
import { show } from '../statistics.ts'

const cutMs = 60_000

export const popsAway: BenchRow = {
  name: 'pops-away',
  async run({ progress }) {
    const stops: (() => unknown)[] = []
    try {
      const t = { after: (stop: () => unknown) => void stops.unshift(stop) }
      const distant = await startDistantPops(t)
      const shop = await openShop(t, distant)
      progress(`cut off for ${cutMs / 1000} s`)
      const { asked, failed, deploys, purges, convergedMs, readyMs, stale } = await shop.cutOff(cutMs)
      return {
        title: 'A point of presence that was cut off',
        how: `Three PoPs in processes of their own on three servers of NATS, round trips of 80 and 160 ms; nrt and its server cut off for ${cutMs / 1000} s, once. Before it is ready \`/readyz\` says \`awaySince\`: its server of NATS is not yet one with the others. Changes and purges come over the links between nodes, which are up sooner.`,
        heading: ['', 'goal', 'found'],
        rows: [
          ['deploys and purges at the others meanwhile', '', `${deploys} and ${purges}`],
          ['requests at the PoP that was cut off; failed', '0', `${show(asked)}; ${failed.length}`],
          ['ms from the return of its lines until all it serves is new', '< 2 000', show(convergedMs)],
          ['ms until it says that it is ready', '', show(readyMs)],
          ['stale answers since', '0', String(stale)],
        ],
        failures: [],
      }
    } finally {
      for (const stop of stops) await stop()
    }
  },
}
