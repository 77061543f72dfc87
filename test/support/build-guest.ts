/**
 * Programs for Compute, built from `test/guests` with the vendor's SDKs. What was built is kept by the hash of what it was
 * built from, so that only the first run takes the time.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'

const guests = resolve(import.meta.dirname, '../guests')
const modules = resolve(import.meta.dirname, '../../node_modules')
const kept = join(modules, '.cache', 'rimward-guests')

const versionOf = (name: string) =>
  (JSON.parse(readFileSync(join(modules, name, 'package.json'), 'utf8')) as { version: string }).version

/** `build` writes `OUT` in a folder of its own, in which the sources lie. */
async function cached(
  tool: string,
  sources: readonly string[],
  build: (folder: string, out: string) => Promise<unknown>,
): Promise<Uint8Array> {
  const hash = createHash('sha256').update(tool)
  for (const source of sources) hash.update(`\0${source}\0`).update(readFileSync(join(guests, source)))
  const file = join(kept, `${hash.digest('hex').slice(0, 32)}.wasm`)
  if (existsSync(file)) return readFileSync(file)
  const folder = mkdtempSync(join(tmpdir(), 'guest-'))
  try {
    for (const source of sources) cpSync(join(guests, source), join(folder, source.split('/').at(-1)!))
    await build(folder, join(folder, 'out.wasm'))
    mkdirSync(kept, { recursive: true })
    // Another test may build the same: each puts a whole file in place.
    const half = `${file}.${process.pid}`
    cpSync(join(folder, 'out.wasm'), half)
    renameSync(half, file)
    return readFileSync(file)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const run = promisify(execFile)

/** With `@fastly/js-compute`. */
export function buildScript(name: string): Promise<Uint8Array> {
  const tool = join(modules, '@fastly/js-compute/dist/cli/js-compute-runtime-cli.js')
  return cached(`js-compute ${versionOf('@fastly/js-compute')}`, [name], (folder, out) =>
    run(process.execPath, [tool, join(folder, name), out]),
  )
}

/** With `@fastly/as-compute`; the source ends in `.as`, for TypeScript's compiler not to take it for its own. */
export function buildAssemblyScript(name: string): Promise<Uint8Array> {
  const tool = join(modules, 'assemblyscript/bin/asc')
  const versions = `${versionOf('assemblyscript')} ${versionOf('@fastly/as-compute')}`
  return cached(`asc ${versions}`, [name], async (folder, out) => {
    cpSync(join(folder, name), join(folder, 'index.ts'))
    await run(process.execPath, [tool, 'index.ts', '--path', modules, '-o', out], { cwd: folder })
  })
}

/** With `compute-sdk-go` and the machine's Go. */
export async function buildGo(name: string): Promise<Uint8Array> {
  const { stdout } = await run('go', ['version'])
  const sources = ['go.mod', 'go.sum', 'main.go'].map((file) => `${name}/${file}`)
  return cached(stdout, sources, (folder, out) =>
    run('go', ['build', '-buildvcs=false', '-o', out, '.'], {
      cwd: folder,
      env: { ...process.env, GOOS: 'wasip1', GOARCH: 'wasm' },
    }),
  )
}

/** With the vendor's SDK for Rust and the machine's cargo, whose toolchain needs the target `wasm32-wasip1`. */
export async function buildRust(name: string): Promise<Uint8Array> {
  const { stdout } = await run(process.env.RUSTC ?? 'rustc', ['--version'])
  const sources = ['Cargo.toml', 'Cargo.lock', 'main.rs'].map((file) => `${name}/${file}`)
  return cached(stdout, sources, async (folder, out) => {
    const target = join(folder, 'target')
    const env = { CARGO_TARGET_DIR: target, ...process.env }
    await run('cargo', ['build', '--release', '--locked', '--target', 'wasm32-wasip1'], { cwd: folder, env })
    cpSync(join(env.CARGO_TARGET_DIR, 'wasm32-wasip1/release/guest.wasm'), out)
  })
}
