/** The last results of an origin's health check, and what follows from them. Pure. */
import type { HealthCheck } from '#/core/origin.ts'

/** Oldest first, `window` of them. */
export type HealthWindow = readonly boolean[]

/** `initial` successes are assumed, as the latest results. https://www.fastly.com/documentation/guides/getting-started/hosts/working-with-health-checks/ */
export function startWindow({ window, initial }: HealthCheck): HealthWindow {
  return Array.from({ length: window }, (_one, index) => index >= window - initial)
}

export function addResult(window: HealthWindow, ok: boolean): HealthWindow {
  return [...window.slice(1), ok]
}

export function successesOf(window: HealthWindow): number {
  return window.reduce((sum, ok) => sum + (ok ? 1 : 0), 0)
}

export function isHealthy(window: HealthWindow, { threshold }: HealthCheck): boolean {
  return successesOf(window) >= threshold
}
