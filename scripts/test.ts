/**
 * `npm test`: types, lint and format, then every test that this machine can run.
 *
 *   npm test                      everything
 *   npm test -- src/edge          files whose path contains a word
 *
 * A test file says what it needs of the machine in a line `// needs: NAME`; what is missing is left out and named, and
 * with RIMWARD_TEST_ALL=1 a suite left out is a failure.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants, globSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { delimiter, join } from 'node:path'
import { findServers, syncsAlways } from '../src/fabric/nats/server.fixture.ts'

const words = process.argv.slice(2)
const all = process.env.RIMWARD_TEST_ALL === '1'

function onPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

function run(command: string, ...args: string[]): boolean {
  return spawnSync(command, args, { stdio: 'inherit' }).status === 0
}

const needs: Record<string, () => boolean> = {
  chromium: () => onPath('chromium'),
  'nats-server': () => findServers().length > 0,
  /** One that can sync before it acknowledges. */
  'current-nats-server': () => findServers().some(syncsAlways),
  curl: () => onPath('curl'),
}

const found = globSync(['src/**/*.test.ts', 'test/**/*.test.ts'], { exclude: ['**/node_modules/**'] })
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort()
const left: string[] = []
const files = found.filter((file) => {
  const wanted = [...readFileSync(file, 'utf8').matchAll(/^\/\/ needs: (\S+)/gm)].map((match) => match[1]!)
  const missing = wanted.filter((name) => !(needs[name]?.() ?? false))
  if (missing.length > 0) left.push(`${file} (no ${missing.join(', no ')})`)
  return missing.length === 0
})

// Every test file, node and CLI is a process of its own that compiles the same sources: once is enough.
process.env.NODE_COMPILE_CACHE ??= join(import.meta.dirname, '../node_modules/.cache/tests')

const checked = words.length > 0 || run('npm', 'run', '--silent', 'check')
const passed = run(
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  `--import=${join(import.meta.dirname, 'test-limit.ts')}`,
  '--test',
  `--test-concurrency=${Math.max(2, availableParallelism())}`,
  '--test-timeout=180000',
  ...files,
)
if (!checked) console.log('types, lint or format: FAILED (see above; `npm run format` mends the format)')
for (const line of left) console.log(`left out: ${line}`)
process.exit(checked && passed && !(all && left.length > 0) ? 0 : 1)
