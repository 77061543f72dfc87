/** The part of the compatibility page about the functions that Compute programs import. */
import { type AbiRow, abiTable } from '#/engines/compute/abi-table.ts'
import { hostcallModules } from '#/engines/compute/inside/hostcalls/table.ts'

export function abiSection(rows: readonly AbiRow[] = abiTable(hostcallModules)): readonly string[] {
  const count = (state: AbiRow['state']) => rows.filter((row) => row.state === state).length
  const lines = [
    '## Host calls of Compute',
    '',
    `Every function of Fastly’s public ABI: ${count('works')} work, ${count('differs')} differ, ${count('unsupported')} are`,
    'unsupported. A program may import what is unsupported; when it calls it, it hears `unsupported`, and its log says so.',
    'What works was called by a test (`test/compute/abi.test.ts` holds table and tests together). Of WASI preview 1 all',
    'functions are there; there are no files and no sockets.',
    '',
    '| function | state | note |',
    '|---|---|---|',
  ]
  for (const { module, name, state, note } of rows) lines.push(`| \`${module}.${name}\` | ${state} | ${note ?? ''} |`)
  lines.push('')
  return lines
}
