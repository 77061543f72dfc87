/** A row of the benchmark: what it measures and the table it makes. */
import type { Generator } from './load.ts'

export interface BenchOptions {
  readonly rounds: number
  /** Seconds of load in a round. */
  readonly seconds: number
  readonly generator: Generator
  readonly progress: (text: string) => void
}

export interface BenchTable {
  readonly title: string
  /** How it was measured, one or two sentences. */
  readonly how: string
  readonly heading: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** What went wrong; the table counts for nothing then. */
  readonly failures: readonly string[]
}

export interface BenchRow {
  readonly name: string
  /** Versions of what takes part, for the page. */
  readonly versions?: Readonly<Record<string, string>>
  run(options: BenchOptions): Promise<BenchTable>
}
