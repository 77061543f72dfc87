/**
 * The law on imports, as one table: who may import whom. There is no way to switch it off for a line or a file; a new
 * room is a new row here, with a sentence in ARCHITECTURE.md.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '..')
const source = join(root, 'src')

/** What the two files that wire rooms together may import. */
const rooms = [
  'apis',
  'apis/cloudflare',
  'apis/fastly',
  'apis/rimward',
  'apis/s3',
  'assets',
  'audit',
  'cache',
  'control',
  'core',
  'edge',
  'engines/compute',
  'engines/workerd',
  'fabric',
  'http',
  'mesh',
  'objects',
  'origin',
  'replication',
  'shield',
  'stores',
]

/** What a room may import besides itself. Rooms get everything else handed over in `pop.ts` and `platform.ts`. */
const law: Record<string, readonly string[]> = {
  http: [],
  core: ['http'],
  assets: ['core', 'http'],
  cache: ['core', 'http'],
  audit: ['core', 'http'],
  fabric: ['core', 'http'],
  mesh: ['core', 'http'],
  replication: ['core', 'http'],
  objects: ['core', 'http'],
  origin: ['core', 'http'],
  shield: ['core', 'http'],
  stores: ['core', 'http'],
  'engines/workerd': ['core', 'http'],
  'engines/compute': ['core', 'http'],
  edge: ['core', 'http'],
  control: ['core', 'http'],
  'apis/cloudflare': ['control', 'core', 'http'],
  'apis/fastly': ['control', 'core', 'http'],
  'apis/rimward': ['control', 'core', 'http'],
  'apis/s3': ['control', 'core', 'http'],
  apis: ['apis/cloudflare', 'apis/fastly', 'apis/rimward', 'apis/s3', 'control', 'core', 'http'],
  cli: ['control', 'core', 'http', 'nats-set-up.ts', 'platform.ts'],
  'open-engines.ts': [...rooms, 'pop.ts'],
  'open-stores.ts': ['core', 'edge', 'fabric', 'objects', 'stores', 'pop.ts'],
  'pop.ts': [...rooms, 'open-engines.ts', 'open-stores.ts'],
  'start-upkeep.ts': [...rooms, 'node-addresses.ts', 'pop.ts'],
  'open-mesh.ts': [...rooms, 'apis/rimward'],
  'node-addresses.ts': [...rooms, 'pop.ts'],
  'open-shared.ts': [...rooms, 'open-mesh.ts'],
  'open-certificates.ts': ['core', 'control', 'pop.ts'],
  'open-news.ts': [...rooms, 'control', 'pop.ts'],
  'nats-set-up.ts': ['core', 'fabric'],
  'platform.ts': [
    ...[
      ...rooms,
      'pop.ts',
      'open-shared.ts',
      'open-certificates.ts',
      'open-news.ts',
      'open-mesh.ts',
      'node-addresses.ts',
    ],
    'start-upkeep.ts',
  ],
}

/** `http/` and `core/` decide; they never touch the world. Types of I/O modules are fine, values are not. */
const pure = ['http', 'core']
const impureImport =
  /^node:(fs|net|http|https|http2|tls|dns|dgram|child_process|worker_threads|os|sqlite|timers|process)/
const impureCall = /\b(Date\.now|performance\.now|Math\.random|setTimeout|setInterval|process\.env|new Date\(\))/

export function roomOf(path: string): string | undefined {
  const parts = path.split('/')
  for (const name of [parts.slice(0, 2).join('/'), parts[0]!]) if (name in law) return name
  return undefined
}

interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
}

export function importsOf(code: string): Import[] {
  const found: Import[] = []
  const statement = /^\s*(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?['"]([^'"]+)['"]/gm
  for (const match of code.matchAll(statement)) found.push({ specifier: match[2]!, typeOnly: match[1] !== undefined })
  for (const match of code.matchAll(/\bimport\(\s*['"]([^'"]+)['"]\s*\)/g))
    found.push({ specifier: match[1]!, typeOnly: false })
  return found
}

function tooLong(path: string, code: string): string[] {
  const lines = code.split('\n').length - 1
  return lines > 400 ? [`${path}: ${lines} lines, more than 400`] : []
}

export function violations(path: string, code: string): string[] {
  const room = roomOf(path)
  if (room === undefined) return [`${path}: is in no room`]
  const found: string[] = []
  found.push(...tooLong(path, code))
  for (const { specifier, typeOnly } of importsOf(code)) {
    if (specifier.startsWith('node:')) {
      if (pure.includes(room) && !typeOnly && impureImport.test(specifier)) found.push(`${path}: ${specifier} is I/O`)
      continue
    }
    const local = specifier.startsWith('#/')
      ? specifier.slice(2)
      : specifier.startsWith('.')
        ? relative('/s', resolve('/s', dirname(path), specifier))
        : undefined
    if (local === undefined) continue
    const other = roomOf(local)
    if (other === room) continue
    if (other === undefined || !law[room]!.includes(other)) found.push(`${path}: ${room} may not import ${specifier}`)
  }
  if (
    pure.includes(room) &&
    !path.endsWith('.test.ts') &&
    impureCall.test(code.replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, ''))
  )
    found.push(`${path}: reads a clock, randomness or the environment`)
  return found
}

function* files(folder: string): Generator<string> {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name)
    if (name === 'node_modules') continue
    if (statSync(path).isDirectory()) yield* files(path)
    else if (name.endsWith('.ts')) yield path
  }
}

test('every import obeys the law of rooms', () => {
  const found = [...files(source)].flatMap((file) => violations(relative(source, file), readFileSync(file, 'utf8')))
  assert.deepEqual(found, [])
})

test('no file of the tests, benchmarks and scripts is too long either', () => {
  const all = ['test', 'bench', 'scripts'].flatMap((folder) => [...files(join(root, folder))])
  assert.ok(all.length > 100)
  assert.deepEqual(
    all.flatMap((file) => tooLong(relative(root, file), readFileSync(file, 'utf8'))),
    [],
  )
})

test('the law bites', () => {
  const bad: [string, string][] = [
    ['cache/a.ts', `import { x } from '#/origin/b.ts'`],
    ['cache/a.ts', `import type { x } from '../origin/b.ts'`],
    ['cache/a.ts', `export * from '#/edge/handle.ts'`],
    ['cache/a.ts', `const x = await import('#/control/x.ts')`],
    ['engines/workerd/a.ts', `import { x } from '#/engines/compute/b.ts'`],
    ['edge/a.ts', `import { x } from '#/fabric/sqlite/fabric.ts'`],
    ['core/a.ts', `import { readFile } from 'node:fs/promises'`],
    ['http/a.ts', 'export const t = Date.now()'],
    ['utils/a.ts', ''],
    ['cache/a.ts', '\n'.repeat(401)],
  ]
  for (const [path, code] of bad) assert.equal(violations(path, code).length, 1, `${path}: ${code.slice(0, 60)}`)
  const good: [string, string][] = [
    ['core/a.ts', `import type { Readable } from 'node:stream'`],
    ['edge/a.ts', `import { EdgeError } from '#/core/errors.ts'`],
    ['edge/a.ts', `import { b } from './b.ts'\nimport hono from 'hono'`],
    ['pop.ts', `import { x } from './engines/workerd/engine.ts'`],
  ]
  for (const [path, code] of good) assert.deepEqual(violations(path, code), [])
})
