/** What a process and all its descendants cost, from /proc (Linux). */
import { readdirSync, readFileSync } from 'node:fs'

/** Clock ticks a second; the kernel's USER_HZ is 100 on every platform that Linux has today. */
const ticksPerSecond = 100

interface Stat {
  readonly parent: number
  readonly ticks: number
}

function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command name, in parentheses, may hold anything: fields count from its end (proc(5)).
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { parent: Number(fields[1]), ticks: fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) }
  } catch {
    return undefined
  }
}

/** The process and its descendants. */
export function treeOf(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const stat = Number.isInteger(pid) ? readStat(pid) : undefined
    if (stat) children.set(stat.parent, [...(children.get(stat.parent) ?? []), pid])
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

/** User and system time of the tree so far, children that ended and were waited for included; seconds. */
export function cpuSeconds(root: number): number {
  return treeOf(root).reduce((sum, pid) => sum + (readStat(pid)?.ticks ?? 0), 0) / ticksPerSecond
}

export interface Memory {
  readonly processes: number
  /** Proportional set size: shared pages are divided among those that share them. */
  readonly pssMiB: number
}

export function memoryOf(root: number): Memory {
  const tree = treeOf(root)
  const kib = tree.map((pid) => {
    try {
      return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)
    } catch {
      return 0
    }
  })
  return { processes: tree.length, pssMiB: kib.reduce((sum, one) => sum + one, 0) / 1024 }
}
