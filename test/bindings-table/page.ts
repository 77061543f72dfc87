/** The parts of the compatibility page that are the table of bindings. */
import type { State } from '../compatibility/rows.ts'
import { type KeyState, rowOf } from './configuration-rows.ts'
import { installedSchema, keysOf } from './read-configuration.ts'
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

/** Keys without those of `env` and `previews`, which are the same again. */
export function ownKeys(): readonly string[] {
  return [...keysOf(installedSchema())].filter((key) => !/^(env|previews)\./.test(key))
}

export function configurationSection(): readonly string[] {
  const perEnvironment = keysOf(installedSchema(), 'RawEnvironment')
  const counts: Record<KeyState, number> = { works: 0, 'works differently': 0, refused: 0, 'wrangler’s own': 0 }
  const lines = ownKeys().map((key) => {
    const row = rowOf(key)
    if (row === undefined) throw new Error(`${key} has no row`)
    counts[row.state]++
    return `| \`${key}\` | ${perEnvironment.has(key) ? 'yes' : ''} | ${row.state} | ${cell(row.note)} |`
  })
  return [
    '## wrangler’s configuration, key by key',
    '',
    `Every key that the installed wrangler’s schema knows: ${counts.works} work, ${counts['works differently']} work differently, ${counts.refused} are refused,`,
    `${counts['wrangler’s own']} are wrangler’s own: it acts on them by itself. \`test/bindings-table.test.ts\` deploys configurations in which`,
    'each key is set, at the top or in an environment, and fails when a key has no row here. `[]` stands behind lists, `*` for names.',
    '',
    '| key | per environment | state | note |',
    ...columns,
    ...lines,
    '',
  ]
}
