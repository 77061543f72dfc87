/** The parts of the compatibility page that are the table of bindings. */
import type { State } from '../compatibility/rows.ts'
import { installedTypes, placeOf, type Verdict, verdictOf, verdicts } from './type-rows.ts'

const columns = ['|---|---|---|---|']
const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
const cell = (text = '') => text.replaceAll('|', '\\|')

/** Members of one declaration that have one verdict and one note are one line. */
function linesOf(name: string, members: readonly string[], verdictOfMember: (member: string) => Verdict): string[] {
  const parts = new Map<string, { readonly verdict: Verdict; readonly members: string[] }>()
  for (const member of members) {
    const verdict = verdictOfMember(member)
    const key = `${verdict.state} ${verdict.note}`
    const part = parts.get(key) ?? { verdict, members: [] }
    part.members.push(member)
    parts.set(key, part)
  }
  return [...parts.values()].map(
    ({ verdict, members }) => `| \`${name}\` | ${code(members)} | ${verdict.state} | ${cell(verdict.note)} |`,
  )
}

export function typesSection(): readonly string[] {
  const said = verdicts()
  const counts: Record<State, number> = { works: 0, 'works differently': 0, refused: 0 }
  const lines: string[] = []
  for (const { name, members } of installedTypes().values()) {
    if (members.length === 0 || placeOf(name) !== undefined) continue
    const verdictOfMember = (member: string): Verdict => {
      const verdict = verdictOf(said, name, member)
      if (verdict === undefined) throw new Error(`${name}.${member} has no row`)
      return verdict
    }
    for (const member of members) counts[verdictOfMember(member).state]++
    lines.push(...linesOf(name, members, verdictOfMember))
  }
  return [
    '## Bindings and events, member by member',
    '',
    `Every method, property and option of \`@cloudflare/workers-types\` that concerns bindings and events: ${counts.works} work,`,
    `${counts['works differently']} work differently, ${counts.refused} are refused. \`test/bindings-table.test.ts\` reads the installed package and fails when`,
    'a member has no row here; each row was tried in a Worker that the real wrangler deployed. Web standards are the',
    'runtime’s own; kinds of bindings that are not here are refused as a whole, by their key.',
    '',
    '| declaration | members | state | note |',
    ...columns,
    ...lines,
    '',
  ]
}
