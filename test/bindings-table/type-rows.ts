/** The rows of the table: each member of each declaration that concerns bindings, with its verdict and its proof. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { State } from '../compatibility/rows.ts'
import { root } from '../support/node.ts'
import { type ElsewhereRow, elsewhere } from './elsewhere.ts'
import { type Declaration, readDeclarations } from './read-declarations.ts'
import { nowhere, ofTheRuntime, refusedKinds } from './scope.ts'
import { groups } from './worker/src/groups.js'

export interface Verdict {
  readonly state: State
  readonly note?: string
}

interface Claim extends Verdict {
  readonly members: string
}

/** What workers-types declares, as it is installed. */
export function installedTypes(): ReadonlyMap<string, Declaration> {
  return readDeclarations(readFileSync(join(root, 'node_modules/@cloudflare/workers-types/index.d.ts'), 'utf8'))
}

/** `Name: member member; Other: member` as pairs. */
export function membersOf(text: string): (readonly [name: string, member: string])[] {
  return text.split(/;\s*/).flatMap((part) => {
    const [, name, members] = /^(\S+): (.+)$/.exec(part.trim()) ?? []
    if (name === undefined) throw new Error(`not "Name: members": ${part}`)
    return members!.split(' ').map((member) => [name, member] as const)
  })
}

const claims: readonly Claim[] = [...Object.values(groups).flat(), ...elsewhere]

/** Verdicts by declaration and member. What two cases claim must not differ. */
export function verdicts(all: readonly Claim[] = claims): ReadonlyMap<string, ReadonlyMap<string, Verdict>> {
  const found = new Map<string, Map<string, Verdict>>()
  for (const { members, state, note } of all)
    for (const [name, member] of membersOf(members)) {
      const known = found.get(name) ?? new Map<string, Verdict>()
      found.set(name, known)
      const other = known.get(member)
      if (other !== undefined && (other.state !== state || other.note !== note))
        throw new Error(`${name}.${member} is said to be both ${other.state} and ${state}`)
      known.set(member, { state, ...(note !== undefined && { note }) })
    }
  return found
}

/** What of the declarations has no verdict, and which verdicts are of nothing declared: one line each. */
export function gaps(declared: ReadonlyMap<string, Declaration>, said = verdicts()): string[] {
  const missing: string[] = []
  for (const { name, members } of declared.values()) {
    if (members.length === 0 || placeOf(name) !== undefined) continue
    const missed = members.filter((member) => verdictOf(said, name, member) === undefined)
    missing.push(...missed.map((member) => `${name}.${member} has no row`))
  }
  for (const [name, members] of said)
    for (const member of members.keys())
      if (!isDeclared(declared, name, member)) missing.push(`${name}.${member} is not declared`)
  return missing
}

function isDeclared(declared: ReadonlyMap<string, Declaration>, name: string, member: string): boolean {
  if (name.endsWith('.*')) return [...declared.keys()].some((one) => one.startsWith(name.slice(0, -1)))
  const members = declared.get(name)?.members
  return members !== undefined && (member === '*' || members.includes(member))
}

/** Its own, that of its whole declaration, or that of the namespace around it. */
export function verdictOf(
  said: ReadonlyMap<string, ReadonlyMap<string, Verdict>>,
  name: string,
  member: string,
): Verdict | undefined {
  const own = said.get(name)
  return own?.get(member) ?? own?.get('*') ?? said.get(name.replace(/\.[^.]+$/, '.*'))?.get('*')
}

/** Why a declaration is not in the table member by member. */
export function placeOf(name: string): string | undefined {
  if (ofTheRuntime.some((names) => names.test(name))) return 'runtime'
  const kind = Object.entries({ ...refusedKinds, ...nowhere }).find(([, names]) => names.test(name))
  return kind?.[0]
}

export { type ElsewhereRow, elsewhere }
