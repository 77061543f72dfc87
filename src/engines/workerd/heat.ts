/** Which programs are hot: asked for so often that a cell of their own (no loader in between) pays off. */
import type { Limits } from '#/core/limits.ts'
import type { DeploymentId } from '#/core/snapshot.ts'

type HeatLimits = Pick<Limits, 'hotRate' | 'hotSeconds' | 'coolSeconds' | 'programs'>

/** `warm` seconds in a row above the rate; `cool` seconds in a row below a tenth of it. */
export interface Warmth {
  readonly hot: boolean
  readonly warm: number
  readonly cool: number
}

export const cold: Warmth = { hot: false, warm: 0, cool: 0 }

/** One second later, in which `count` requests came. Promotion and demotion are far apart, so nothing flutters. */
export function nextWarmth(before: Warmth, count: number, limits: HeatLimits): Warmth {
  const warm = count >= limits.hotRate ? before.warm + 1 : 0
  const cool = count < limits.hotRate / 10 ? before.cool + 1 : 0
  if (before.hot) return { hot: cool < limits.coolSeconds, warm, cool }
  return { hot: warm >= limits.hotSeconds, warm, cool: 0 }
}

export interface Heat {
  /** Counts a request. True while the program is hot and its own cell has had a second to start. */
  note(deployment: DeploymentId): boolean
  /** It could not get a cell of its own: it has to prove its heat anew. */
  refuse(deployment: DeploymentId): void
  /** All that are hot now. */
  hot(): DeploymentId[]
  close(): void
}

interface Counted {
  count: number
  warmth: Warmth
  settled: boolean
}

/** `onHot` is called when a program becomes hot: time to start its cell. */
export function createHeat(limits: HeatLimits, onHot: (deployment: DeploymentId) => void): Heat {
  const counted = new Map<DeploymentId, Counted>()

  function tick(): void {
    for (const [deployment, entry] of counted) {
      const before = entry.warmth
      entry.warmth = nextWarmth(before, entry.count, limits)
      entry.settled = before.hot && entry.warmth.hot
      entry.count = 0
      if (entry.warmth.hot && !before.hot) onHot(deployment)
      if (!entry.warmth.hot && entry.warmth.warm === 0) counted.delete(deployment)
    }
  }
  const timer = setInterval(tick, 1000)
  timer.unref()

  return {
    note(deployment) {
      const entry = counted.get(deployment)
      if (entry !== undefined) {
        entry.count++
        return entry.settled
      }
      if (counted.size < limits.programs) counted.set(deployment, { count: 1, warmth: cold, settled: false })
      return false
    },
    hot: () => [...counted].flatMap(([id, { warmth }]) => (warmth.hot ? [id] : [])),
    refuse: (deployment) => void counted.delete(deployment),
    close: () => clearInterval(timer),
  }
}
