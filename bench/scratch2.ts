import { startDistantPops } from '../test/support/distant-pops.ts'
import { cutOffPop } from '../test/support/cut-off-pop.ts'
const stops: (() => unknown)[] = []
try {
  const p = await startDistantPops({ after: (s) => void stops.unshift(s) })
  console.log('started')
  console.log(await cutOffPop(p, Number(process.argv[2] ?? 12_000)))
} finally { for (const stop of stops) await stop() }
process.exit(0)
