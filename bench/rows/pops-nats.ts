/** One of three NATS servers is killed, paused and cut off while three points of presence serve and write. */
import { popNames, startDistantPops } from '../../test/support/distant-pops.ts'
import { type Loss, losses, startLoad } from '../../test/support/lost-server.ts'
import type { BenchRow } from '../row.ts'
import { show } from '../statistics.ts'

const goalMs = 10_000
const words: Readonly<Record<Loss, string>> = {
  killed: 'killed, and started again',
  paused: 'paused for 10 s',
  'cut off': 'cut off from the other servers and from the PoPs elsewhere',
}

export const popsNats: BenchRow = {
  name: 'pops-nats',
  async run({ progress }) {
    const stops: (() => unknown)[] = []
    const t = { after: (stop: () => unknown) => void stops.unshift(stop) }
    try {
      const distant = await startDistantPops(t)
      const load = await startLoad(t, distant)
      const rows: string[][] = []
      for (const loss of losses) {
        progress(loss)
        const { resumedMs } = await load.lose(loss)
        const all = popNames.map((pop) => resumedMs[pop])
        const what = `${words[loss]}: ms until ${popNames.join(', ')} write again`
        rows.push([what, `< ${show(goalMs)}`, all.map((ms) => show(ms)).join(', ')])
      }
      progress('what is there')
      const { asked, failed, changes, values, refused, lost } = await load.judge()
      return {
        title: 'A NATS server is lost',
        how: 'Three PoPs in processes of their own on three servers of NATS, round trips of 80 and 160 ms; the server that leads is lost, once in each way, and comes back. Meanwhile each PoP is asked for a cached page, a Worker and a key, one request after the other each, and takes writes: values of keys, and changes of the configuration, which are refused until NATS has elected.',
        heading: ['', 'goal', 'found'],
        rows: [
          ...rows,
          ['requests at all PoPs; failed', '0', `${show(asked)}; ${failed.length}`],
          ['changes and values acknowledged; lost', '0', `${show(changes)} and ${show(values)}; ${lost.length}`],
          ['changes refused', '', show(refused)],
        ],
        failures: failed.slice(0, 3),
      }
    } finally {
      for (const stop of stops) await stop()
    }
  },
}
