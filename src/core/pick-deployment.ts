/**
 * Which deployment of a gradual rollout answers one request: the staged one where it is asked for, an override header, then a
 * sticky key, then chance.
 * https://developers.cloudflare.com/workers/configuration/versions-and-deployments/gradual-deployments/
 */
import type { HeaderList } from './exchange.ts'
import type { Deployment, Program } from './snapshot.ts'

export interface Pick {
  readonly deployment: Deployment
  readonly percent: number
  readonly why: 'only' | 'override' | 'key' | 'chance'
}

/**
 * `random` is a number in [0, 1). `undefined` while nothing is deployed. An override that is malformed, or names a
 * deployment outside the rollout, is passed over, as Cloudflare does: a stale test header must not break a visitor.
 */
export function pickDeployment(program: Program, headers: HeaderList, random: number): Pick | undefined {
  const { rollout } = program
  const first = rollout[0]
  if (first === undefined) return undefined
  if (rollout.length === 1) return { ...first, why: 'only' }
  const staged = rollout.find((part) => part.deployment.staged)
  if (staged !== undefined && fieldValue(headers, 'rimward-staging') === '1') return { ...staged, why: 'override' }
  const wanted = overrideFor(fieldValue(headers, 'cloudflare-workers-version-overrides'), program.name)
  const overridden = wanted === undefined ? undefined : rollout.find((part) => part.deployment.id === wanted)
  if (overridden !== undefined) return { ...overridden, why: 'override' }
  const key = fieldValue(headers, 'cloudflare-workers-version-key')
  if (key !== undefined && key !== '') return { ...partAt(program, position(`${program.name}\n${key}`)), why: 'key' }
  return { ...partAt(program, random), why: 'chance' }
}

/**
 * Percentages laid end to end in order of upload. A key keeps its position for ever, so that moving the newer of two
 * deployments from 10 % to 20 % moves only those keys that have to move.
 */
function partAt(program: Program, position: number): Program['rollout'][number] {
  const parts = [...program.rollout].sort((a, b) => a.deployment.number - b.deployment.number)
  let upTo = 0
  for (const part of parts) {
    upTo += part.percent
    if (position * 100 < upTo) return part
  }
  return parts.at(-1)!
}

/** FNV-1a with a final avalanche (murmur3's), as a number in [0, 1): stable across processes, versions and machines. */
function position(key: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(key)) hash = Math.imul(hash ^ byte, 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return ((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32
}

/** Value of a field, repeated fields joined with a comma (RFC 9110 §5.3). `name` in lower case. */
function fieldValue(headers: HeaderList, name: string): string | undefined {
  let value: string | undefined
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index]!.length !== name.length || headers[index]!.toLowerCase() !== name) continue
    value = value === undefined ? headers[index + 1]! : `${value}, ${headers[index + 1]!}`
  }
  return value
}

const member = /[ \t]*([a-z*][a-z0-9_.*-]*)="((?:[^"\\\x00-\x1f\x7f]|\\["\\])*)"[ \t]*(,|$)/gy

/**
 * The string under `name` in a dictionary of strings (RFC 8941 §3.2, §4.2.2: the last of equal keys wins); `undefined`
 * when it is absent or when the field does not parse as a whole. A name that begins with a digit or `_` is no RFC 8941
 * key: such programs cannot be overridden.
 */
function overrideFor(field: string | undefined, name: string): string | undefined {
  if (field === undefined || field === '') return undefined
  let found: string | undefined
  member.lastIndex = 0
  while (true) {
    const match = member.exec(field)
    if (match === null) return undefined
    if (match[1] === name) found = match[2]!.replace(/\\(["\\])/g, '$1')
    if (match[3] === '') return found
  }
}
