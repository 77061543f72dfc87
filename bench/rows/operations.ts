/** Operations of a binding, each an address of the same Worker, at Miniflare and at a node of ours: requests/s of both. */
import { badAnswers, load } from '../load.ts'
import { loadLong } from '../load-long.ts'
import type { Contestant } from '../peers/bound-programs.ts'
import type { BenchOptions } from '../row.ts'
import { median, ratio, show } from '../statistics.ts'

export interface Operation {
  readonly name: string
  readonly path: string
  /** What an answer or a request carries; from 1 MiB on the table counts bytes instead of requests. */
  readonly bytes?: number
}

export interface Measured {
  readonly heading: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly failures: readonly string[]
  /** Requests/s. */
  rate(contestant: string, operation: string, connections: number): number
}

export const crowds = [1, 32] as const

/** Rounds in alternation, after one to warm up; medians. `beforeRound` is called before each that counts. */
export async function measureOperations(
  contestants: readonly Contestant[],
  operations: readonly Operation[],
  options: BenchOptions,
  beforeRound: () => void = () => {},
): Promise<Measured> {
  const failures: string[] = []
  const rates = new Map<string, number[]>()
  const rate = (name: string, operation: string, connections: number): number =>
    median(rates.get(`${name} ${operation} ${connections}`)!)
  const isLong = ({ bytes = 0 }: Operation) => bytes >= 1024 * 1024
  for (let round = 0; round <= options.rounds; round++) {
    if (round > 0) beforeRound()
    for (const one of operations)
      for (const connections of round === 0 && isLong(one) ? [1] : crowds)
        for (const { name, target } of contestants) {
          const { name: operation, path } = one
          options.progress(`${round === 0 ? 'warming' : `round ${round}`}: ${operation} × ${connections}, ${name}`)
          const order = { ...target, path, connections, seconds: options.seconds }
          const result = isLong(one) ? await loadLong(order) : await load(order, options.generator)
          const bad = badAnswers(result)
          if (bad !== undefined) failures.push(`${name}, ${operation}: ${bad}`)
          if (round === 0) continue
          const key = `${name} ${operation} ${connections}`
          rates.set(key, [...(rates.get(key) ?? []), result.requests / result.seconds])
        }
  }
  const rows = operations.flatMap(({ name: operation, bytes = 0 }) =>
    crowds.map((connections) => {
      const [other, ours] = contestants.map(({ name }) => rate(name, operation, connections)) as [number, number]
      const shown = (value: number) =>
        bytes >= 1024 * 1024 ? `${show((value * bytes) / 1024 / 1024, 0)} MiB` : show(value, 0)
      const crowd = `${connections} connection${connections === 1 ? '' : 's'}`
      return [`${operation}, ${crowd}`, shown(other), shown(ours), ratio(ours, other)]
    }),
  )
  const [base, us] = contestants.map(({ name }) => name) as [string, string]
  return { heading: ['a second', base, us, `× ${base}`], rows, failures, rate }
}

/** «2 rounds of 2 s …». */
export const howMeasured = ({ rounds, seconds }: BenchOptions): string =>
  `${rounds} rounds of ${seconds} s in alternation after one to warm up, medians.`
