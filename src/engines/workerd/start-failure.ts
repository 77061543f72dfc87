/** What workerd says on stderr when a program does not start, as a `Proof` that its owner can act on. */

import type { Proof } from '#/core/ports.ts'
import type { Deployment } from '#/core/snapshot.ts'
import type { Milliseconds } from '#/core/units.ts'
import { scriptPrelude } from './cell-config.ts'

interface Facts {
  readonly deployment: Deployment
  readonly startMs: Milliseconds
}

const place = /^\s+at (.+?):(\d+)(?::(\d+))?(?: in .*)?$/
const newerDate =
  /requires compatibility date "([^"]+)", but the newest date supported by this server binary is "([^"]+)"/
const futureDate = /Can't set compatibility date in the future: "([^"]+)"/
const experimentalFlag = /The compatibility flag (\S+) is experimental/

/** `thrown`: why the cell did not start; `lines`: all that workerd wrote. */
export function readFailure(thrown: string, lines: readonly string[], facts: Facts): Proof {
  const own = `service program:${facts.deployment.id}: `
  const first = lines.findIndex((line) => line.startsWith(own))
  if (first === -1) return { ok: false, message: quiet(thrown, facts) }
  const words = lines[first]!.slice(own.length)
  const sentence = dateOrFlag(words, lines)
  if (sentence !== undefined) return { ok: false, message: sentence }
  const stack: string[] = []
  for (const line of lines.slice(first + 1)) {
    if (!/^\s/.test(line)) break
    stack.push(renamed(line, facts))
  }
  return { ok: false, message: [words, ...stack].join('\n'), ...placeOf(stack) }
}

function quiet(thrown: string, facts: Facts): string {
  if (!thrown.includes('did not listen within')) return thrown
  return `The program's global scope did not end within ${facts.startMs} ms: it may load modules and set up, not loop or compute for long.`
}

function dateOrFlag(words: string, lines: readonly string[]): string | undefined {
  const all = lines.join('\n')
  const newer = newerDate.exec(all)
  if (newer !== null)
    return `The compatibility date ${newer[1]} is newer than this node knows; the newest it supports is ${newer[2]}.`
  const future = futureDate.exec(words)
  if (future !== null) return `The compatibility date ${future[1]} lies in the future.`
  const flags = lines.flatMap((line) => experimentalFlag.exec(line)?.[1] ?? [])
  if (flags.length > 0)
    return `The compatibility flag ${flags.join(', ')} is experimental in workerd and not offered here.`
  return undefined
}

/** workerd calls a service-worker script by the name of its service, and on its first line the prelude comes before it. */
function renamed(line: string, { deployment }: Facts): string {
  const script = `at program:${deployment.id}:`
  if (!line.includes(script)) return line
  const name = deployment.code?.mainModule ?? 'script'
  const own = line.replace(script, `at ${name}:`)
  return own.replace(`at ${name}:1:`, '\0').replace(/\0(\d+)/, (_, column) => {
    return `at ${name}:1:${Math.max(1, Number(column) - scriptPrelude.length)}`
  })
}

function placeOf(stack: readonly string[]): { module?: string; line?: number; column?: number } {
  const found = stack.map((line) => place.exec(line)).find((match) => match !== null)
  if (found === undefined) {
    const importer = stack.map((line) => /^\s+imported from "(.+)"$/.exec(line)?.[1]).find((name) => name !== undefined)
    return importer === undefined ? {} : { module: importer }
  }
  const [, module, line, column] = found
  return { module: module!, line: Number(line), ...(column === undefined ? {} : { column: Number(column) }) }
}
