/**
 * `npm run lock`: writes package-lock.json from package.json, complete for every platform.
 *
 * Packages with native parts name one optional package a platform. A registry mirror may not have all of those for a
 * fresh version; npm then leaves them out of the lock, and `npm ci` refuses the lock everywhere. The missing entries are
 * written here from what their parent says; a platform that needs one fetches it by name and version.
 */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Locked {
  version?: string
  optional?: boolean
  dev?: boolean
  os?: string[]
  cpu?: string[]
  optionalDependencies?: Record<string, string>
}

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'rimward-lock-'))
try {
  // Without node_modules beside it: npm copies what is installed into the lock, and that is this platform only.
  for (const file of ['package.json', 'package-lock.json']) cpSync(join(root, file), join(folder, file))
  execFileSync('npm', ['install', '--package-lock-only', '--no-audit', '--no-fund'], { cwd: folder, stdio: 'inherit' })
  const lock = JSON.parse(readFileSync(join(folder, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, Locked>
  }
  for (const [path, parent] of Object.entries(lock.packages)) {
    for (const [name, wanted] of Object.entries(parent.optionalDependencies ?? {})) {
      const version = wanted.replace(/^=/, '')
      const nested = `${path}/node_modules/${name}`
      const hoisted = `node_modules/${name}`
      if (nested in lock.packages || hoisted in lock.packages) continue
      const platform = platformOf(name)
      if (platform === undefined || !/^\d/.test(version)) continue
      console.log(`added ${name}@${version}`)
      lock.packages[hoisted] = { version, ...(parent.dev ? { dev: true } : {}), optional: true, ...platform }
    }
  }
  lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
  writeFileSync(join(root, 'package-lock.json'), `${JSON.stringify(lock, null, 2)}\n`)
} finally {
  rmSync(folder, { recursive: true })
}

/** `@esbuild/darwin-arm64`, `@cloudflare/workerd-windows-64`, `@biomejs/cli-linux-x64-musl`… */
function platformOf(name: string): { os?: string[]; cpu: string[] } | undefined {
  if (name.endsWith('-wasm32-wasi')) return { cpu: ['wasm32'] }
  const os = /(?:^|[/-])(aix|android|darwin|freebsd|linux|netbsd|openbsd|openharmony|sunos|win32|windows)/.exec(
    name,
  )?.[1]
  const cpu = /-(arm64|arm|ia32|loong64|mips64el|ppc64|riscv64|s390x|x32|x64|64)(?:-|$)/.exec(name)?.[1]
  if (os === undefined || cpu === undefined) return undefined
  return { os: [os === 'windows' ? 'win32' : os], cpu: [cpu === '64' ? 'x64' : cpu] }
}
