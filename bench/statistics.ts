/** The value below which `part` (0 to 1) of the values lie; NaN when there are none. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? Number.NaN
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)

/** With at most one digit after the point, and spaces between thousands. */
export function show(value: number, digits = value < 100 ? 1 : 0): string {
  if (Number.isNaN(value)) return '-'
  return value.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d))/g, ' ')
}

export const ratio = (value: number, base: number): string => (value / base).toFixed(2)
