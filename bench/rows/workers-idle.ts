/** What a thousand deployed Workers cost while nobody asks for them. */
import { startNode } from '../peers/rimward.ts'
import { memoryOf } from '../processes.ts'
import { helloSource } from '../programs.ts'
import type { BenchRow } from '../row.ts'
import { show } from '../statistics.ts'

const count = 1_000
const settleMs = 15_000

export const workersIdle: BenchRow = {
  name: 'workers-idle',
  async run(options) {
    const node = await startNode()
    const settle = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, settleMs))
    try {
      // One deploy brings in what every deploy needs once.
      await node.deploy('first', helloSource)
      await settle()
      const before = memoryOf(node.pid)
      const startedAt = performance.now()
      for (let index = 0; index < count; index += 1) {
        if (index % 100 === 0) options.progress(`deploying ${index} of ${count}`)
        await node.deploy(`idle-${index}`, `${helloSource}// ${index}`)
      }
      const seconds = (performance.now() - startedAt) / 1000
      await settle()
      const after = memoryOf(node.pid)
      const row = (name: string, a: number, b: number): string[] => [name, show(a), show(b), show(b - a)]
      return {
        title: `Workers, idle: ${count} deployed`,
        how: `Before and after ${count} deploys through the API (${show((seconds / count) * 1000)} ms each), ${settleMs / 1000} s at rest; proportional memory (PSS) of the process tree.`,
        heading: ['', 'before', 'after', 'added'],
        rows: [row('processes', before.processes, after.processes), row('memory, MiB', before.pssMiB, after.pssMiB)],
        failures: [],
      }
    } finally {
      await node.stop()
    }
  },
}
