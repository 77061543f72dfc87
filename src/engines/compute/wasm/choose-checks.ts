import type { CodeScan } from './scan-code.ts'

/**
 * Instructions that may pass between two checks, besides those of one function and its calls. A thousand take about a
 * microsecond; the longest function that engines accept (7.6 MB) then runs for about a second unchecked.
 */
const uncheckedInstructions = 1_000

/**
 * Which functions must look at the stop word where they begin: 1 for those that do.
 *
 * Loops are checked at each turn, so what is left are calls. A function's cost is its instructions and those of the
 * unchecked functions that it calls, each as often as the code names it. Unchecked are those of small cost, without calls
 * of which nobody knows where they lead. So no circle of calls is unchecked, nor a tree of calls that is short in code and
 * endless in time.
 */
export function chooseChecks(scan: CodeScan, budget = uncheckedInstructions): Uint8Array {
  const count = scan.sizes.length
  const state = new Uint8Array(count)
  const cost = new Float64Array(count)
  const checked = new Uint8Array(count)
  const path: number[] = []
  const next = Uint32Array.from(scan.calleesFrom.subarray(0, count))
  for (let root = 0; root < count; root++) {
    if (state[root] === fresh) path.push(root)
    while (path.length > 0) {
      const index = path.at(-1)!
      state[index] = entered
      const at = next[index]!
      if (at === scan.calleesFrom[index + 1]!) {
        path.pop()
        state[index] = left
        cost[index]! += scan.sizes[index]!
        if (scan.indirect[index] === 1 || cost[index]! > budget) checked[index] = 1
        continue
      }
      const callee = scan.callees[at]!
      if (callee < count && state[callee] === fresh) {
        path.push(callee)
        continue
      }
      next[index] = at + 1
      if (state[callee] === entered) checked[callee] = 1
      else if (checked[callee] === 0) cost[index]! += cost[callee] ?? 0
    }
  }
  return checked
}

const fresh = 0
const entered = 1
const left = 2
