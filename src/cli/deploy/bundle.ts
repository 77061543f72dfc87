/** A Worker's source as the modules that are uploaded: one esbuild bundle and the files it imports by rule. */
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { type BuildFailure, type BuildOptions, build, type OnResolveArgs, type Plugin } from 'esbuild'
import { Complaint } from '../complaint.ts'
import type { ModuleType, WorkerConfig } from './config-schema.ts'
import { allRules, typeFor, withoutQuery } from './rules.ts'

export interface UploadModule {
  /** As the other modules import it; also the name of its part. */
  readonly name: string
  readonly type: ModuleType | 'SourceMap'
  readonly content: Uint8Array
}

export interface Bundle {
  readonly format: 'modules' | 'service-worker'
  readonly main: UploadModule
  readonly others: readonly UploadModule[]
  /** Service-worker syntax has no imports: files become bindings of these names. */
  readonly blobs: readonly { readonly name: string; readonly module: UploadModule }[]
}

// What wrangler bundles for: workerd's V8, JSX in plain .js files.
const common = {
  target: 'es2024',
  platform: 'browser',
  conditions: ['workerd', 'worker', 'browser'],
  loader: { '.js': 'jsx', '.mjs': 'jsx', '.cjs': 'jsx' },
  supported: { 'import-source': true },
  logLevel: 'silent',
  write: false,
} as const satisfies BuildOptions

/** esbuild's findings as one complaint: what, and in which file, line and column. */
async function attempt<T>(run: () => Promise<T>): Promise<T> {
  try {
    return await run()
  } catch (error) {
    const errors = (error as Partial<BuildFailure>).errors
    if (errors === undefined) throw error
    const lines = errors.map(({ text, location }) =>
      location ? `${location.file}:${location.line}:${location.column + 1}: ${text}` : text,
    )
    throw new Complaint(`The Worker does not build.\n  ${lines.join('\n  ')}`)
  }
}

async function formatOf(main: string, folder: string): Promise<Bundle['format']> {
  const { metafile } = await attempt(() =>
    build({ ...common, entryPoints: [main], absWorkingDir: folder, bundle: false, metafile: true, format: 'esm' }),
  )
  const exported = Object.values(metafile!.outputs).flatMap((output) => output.exports)
  return exported.includes('default') ? 'modules' : 'service-worker'
}

interface Collected {
  readonly modules: UploadModule[]
  readonly blobs: { name: string; module: UploadModule }[]
}

function collectModules(
  config: WorkerConfig,
  format: Bundle['format'],
  known: ReadonlySet<string>,
  into: Collected,
): Plugin {
  const rules = allRules(config.rules)
  const collect = async (args: OnResolveArgs, resolved: string, type: ModuleType) => {
    const content = readFileSync(resolved)
    const hash = createHash('sha1').update(content).digest('hex')
    const name = config.preserve_file_names ? withoutQuery(args.path) : `./${hash}-${basename(resolved)}`
    const module: UploadModule = { name, type, content }
    if (!into.modules.some((one) => one.name === name)) into.modules.push(module)
    if (format === 'modules') return { path: name, external: true }
    const identifier = name.replace(/[^a-zA-Z0-9_$]/g, '_')
    if (!into.blobs.some((one) => one.name === identifier)) into.blobs.push({ name: identifier, module })
    return { path: identifier, namespace: 'blob' }
  }
  return {
    name: 'modules-by-rule',
    setup({ onResolve, onLoad, resolve: resolveImport }) {
      onResolve({ filter: /\.[^/.]+$/ }, async (args) => {
        if (args.kind === 'entry-point' || args.pluginData === 'plain') return undefined
        const direct = resolve(args.resolveDir, withoutQuery(args.path))
        if (known.has(direct)) return { path: args.path, external: true }
        const type = typeFor(rules, args.path)
        if (type === undefined || type === 'ESModule' || type === 'CommonJS') return undefined
        const { kind, importer, resolveDir } = args
        const found = await resolveImport(withoutQuery(args.path), { kind, importer, resolveDir, pluginData: 'plain' })
        if (found.errors.length > 0) return { errors: found.errors }
        return collect(args, found.path, type)
      })
      onLoad({ filter: /.*/, namespace: 'blob' }, ({ path }) => ({ contents: `export default ${path};`, loader: 'js' }))
    },
  }
}

const nodeNames = new Set(builtinModules)

/**
 * Leaves the runtime's own modules to the runtime; Node's by their bare name become `node:…` under `nodejs_compat`. A bundle of ES
 * modules has no `require`: what CommonJS code requires of Node is imported for it.
 */
function runtimeModules(config: WorkerConfig): Plugin {
  const compatible = (config.compatibility_flags ?? []).some((flag) => /^nodejs_(compat|als)/.test(flag))
  const ofNode = (path: string, kind: OnResolveArgs['kind']) =>
    compatible && kind === 'require-call' ? { path, namespace: 'required-of-node' } : { path, external: true }
  return {
    name: 'runtime-modules',
    setup({ onResolve, onLoad, resolve: resolveImport }) {
      onResolve({ filter: /^node:/ }, ({ path, kind }) => ofNode(path, kind))
      onResolve({ filter: /^(cloudflare|workerd):/ }, ({ path }) => ({ path, external: true }))
      onLoad({ filter: /.*/, namespace: 'required-of-node' }, ({ path }) => ({
        contents: `import all from ${JSON.stringify(path)}; module.exports = all;`,
        loader: 'js',
      }))
      onResolve({ filter: /^[a-z_/]+$/ }, async (args) => {
        if (!nodeNames.has(args.path) || args.pluginData === 'plain') return undefined
        const { kind, importer, resolveDir } = args
        // A package of that name in the project (such as "buffer" or "events") comes first.
        const installed = await resolveImport(args.path, { kind, importer, resolveDir, pluginData: 'plain' })
        const found = installed.errors.length === 0
        if (found && isAbsolute(installed.path)) return installed
        if (compatible) return ofNode(`node:${args.path}`, kind)
        // Its package says `"browser": { "stream": false }`: esbuild puts an empty module there.
        if (found) return undefined
        return {
          errors: [
            { text: `"${args.path}" is a module of Node; add "nodejs_compat" to "compatibility_flags" to use it` },
          ],
        }
      })
    },
  }
}

/** Files below the base folder that match a rule, named by their path from there. */
function additionalModules(config: WorkerConfig, main: string, base: string): UploadModule[] {
  const rules = allRules(config.rules)
  return globSync('**/*', {
    cwd: base,
    withFileTypes: true,
    exclude: (entry) => /^(node_modules|\.wrangler|\.git)$/.test(entry.name),
  })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((file) => file !== main)
    .flatMap((file) => {
      const name = relative(base, file).split(sep).join('/')
      const type = typeFor(rules, name)
      return type === undefined ? [] : [{ name, type, content: readFileSync(file) }]
    })
}

function buildOptions(config: WorkerConfig, folder: string): BuildOptions {
  return {
    ...(config.tsconfig !== undefined && { tsconfig: resolve(folder, config.tsconfig) }),
    ...(config.jsx_factory !== undefined && { jsxFactory: config.jsx_factory }),
    ...(config.jsx_fragment !== undefined && { jsxFragment: config.jsx_fragment }),
    ...(config.alias !== undefined && { alias: config.alias }),
    define: { 'navigator.userAgent': '"Cloudflare-Workers"', 'process.env.NODE_ENV': '"production"', ...config.define },
    minify: config.minify ?? false,
    keepNames: config.keep_names ?? true,
    sourcemap: config.upload_source_maps ? 'linked' : false,
  }
}

async function bundled(config: WorkerConfig, folder: string, main: string, base: string): Promise<Bundle> {
  const format = await formatOf(main, folder)
  const found = config.find_additional_modules ? additionalModules(config, main, base) : []
  const known = new Set(found.map((module) => join(base, module.name)))
  const collected: Collected = { modules: [], blobs: [] }
  const result = await attempt(() =>
    build({
      ...common,
      ...buildOptions(config, folder),
      entryPoints: { [basename(main, extname(main))]: main },
      absWorkingDir: folder,
      outdir: '/out',
      bundle: true,
      format: format === 'modules' ? 'esm' : 'iife',
      plugins: [collectModules(config, format, known, collected), runtimeModules(config)],
    }),
  )
  const files = result.outputFiles!
  const code = files.find((file) => file.path.endsWith('.js'))!
  const maps = files
    .filter((file) => file.path.endsWith('.map'))
    .map((file): UploadModule => ({ name: basename(file.path), type: 'SourceMap', content: file.contents }))
  const modules = format === 'modules' ? collected.modules : []
  return {
    format,
    main: { name: basename(code.path), type: 'ESModule', content: code.contents },
    others: [...modules, ...found, ...maps],
    blobs: collected.blobs,
  }
}

/** Builds the Worker at `config.main`. Throws a `Complaint` with file, line and column where it does not build. */
export async function bundleWorker(config: WorkerConfig, folder: string): Promise<Bundle> {
  const main = resolve(folder, config.main!)
  if (!existsSync(main)) throw new Complaint(`"main" names ${main}, which is not there.`)
  if (extname(main) === '.py') throw new Complaint(`"main" names ${main}: Python Workers are not supported.`)
  const base = config.base_dir === undefined ? dirname(main) : resolve(folder, config.base_dir)
  if (!config.no_bundle) return bundled(config, folder, main, base)
  const format = await formatOf(main, folder)
  const others =
    format === 'modules' && config.find_additional_modules !== false ? additionalModules(config, main, base) : []
  const name = relative(base, main).split(sep).join('/')
  return { format, main: { name, type: 'ESModule', content: readFileSync(main) }, others, blobs: [] }
}
