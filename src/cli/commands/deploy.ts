/** `rimward deploy [DIR]`: what `wrangler deploy` or `fastly compute deploy` does, without them: the same calls in the same order. */
import { spawnSync } from 'node:child_process'
import { basename, resolve } from 'node:path'
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { type AssetFolder, readAssets, uploadAssets } from '../deploy/assets.ts'
import { type Bundle, bundleWorker } from '../deploy/bundle.ts'
import { type CloudflareClient, createCloudflareClient } from '../deploy/cloudflare-client.ts'
import type { WorkerConfig } from '../deploy/config-schema.ts'
import { deployCompute, readModule } from '../deploy/deploy-compute.ts'
import { readManifest } from '../deploy/fastly-manifest.ts'
import { bindingsOf, migrationsAfter, uploadForm } from '../deploy/metadata.ts'
import { findConfig, readConfig } from '../deploy/read-config.ts'
import { provideQueues, setTriggers } from '../deploy/triggers.ts'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import type { Terminal } from '../terminal.ts'

interface DeployFlags extends NodeOptions {
  readonly config?: string
  readonly env?: string
  readonly name?: string
  readonly message?: string
  readonly dryRun?: boolean
  readonly json?: boolean
}

interface Prepared {
  readonly bundle: Bundle | undefined
  readonly assets: AssetFolder | undefined
}

function runBuildCommand(config: WorkerConfig, folder: string): void {
  if (config.build?.command === undefined) return
  const cwd = config.build.cwd === undefined ? folder : resolve(folder, config.build.cwd)
  // Its output is for people: stdout stays clean for --json.
  const { status } = spawnSync(config.build.command, { shell: true, cwd, stdio: ['ignore', 2, 2] })
  if (status !== 0) throw new Complaint(`The build command "${config.build.command}" failed (exit code ${status}).`)
}

async function prepare(config: WorkerConfig, folder: string): Promise<Prepared> {
  runBuildCommand(config, folder)
  return {
    bundle: config.main === undefined ? undefined : await bundleWorker(config, folder),
    assets: config.assets === undefined ? undefined : readAssets(resolve(folder, config.assets.directory)),
  }
}

interface Settings {
  readonly bindings?: readonly { name: string; type: string; namespace_id?: string }[]
}

/** Namespaces for KV bindings without an id: the one of the deployed version, else by title, else a new one. */
async function provideNamespaces(client: CloudflareClient, config: WorkerConfig): Promise<Map<string, string>> {
  const wanted = (config.kv_namespaces ?? []).filter((one) => one.id === undefined)
  const ids = new Map<string, string>()
  if (wanted.length === 0) return ids
  const settings = await client.find<Settings>(`/workers/scripts/${config.name}/settings`)
  const listed = await client.call<{ id: string; title: string }[]>(
    'GET',
    '/storage/kv/namespaces?per_page=1000&order=title&direction=asc&page=1',
  )
  for (const { binding } of wanted) {
    const deployed = settings?.bindings?.find(
      (one) => one.name === binding && one.type === 'kv_namespace',
    )?.namespace_id
    const title = `${config.name}-${binding.toLowerCase().replaceAll('_', '-')}`
    const id = deployed ?? listed.find((one) => one.title === title)?.id
    ids.set(
      binding,
      id ?? (await client.call<{ id: string }>('POST', '/storage/kv/namespaces', { json: { title } })).id,
    )
  }
  return ids
}

async function upload(
  client: CloudflareClient,
  config: WorkerConfig,
  folder: string,
  prepared: Prepared,
  message?: string,
) {
  const service = await client.find<{ default_environment?: { script?: { migration_tag?: string } } }>(
    `/workers/services/${config.name}`,
  )
  const migrations = migrationsAfter(config.migrations, service?.default_environment?.script?.migration_tag)
  const kv = await provideNamespaces(client, config)
  await provideQueues(client, config)
  const { assets } = prepared
  const form = uploadForm({
    config,
    folder,
    bundle: prepared.bundle,
    bindings: bindingsOf(config, kv),
    migrations,
    assets: assets && { ...assets, jwt: await uploadAssets(client, config.name, assets.files) },
    message,
  })
  return client.call<{ deployment_id?: string; id?: string }>(
    'PUT',
    `/workers/scripts/${config.name}?excludeScript=true&bindings_inherit=strict`,
    { form },
  )
}

/** Routes, custom domains and NAME.localhost; returns the patterns as printed. */
async function connect(
  client: CloudflareClient,
  config: WorkerConfig,
): Promise<{ local: boolean; patterns: string[] }> {
  const script = `/workers/scripts/${config.name}`
  const routes = config.routes.map((route) => (typeof route === 'string' ? { pattern: route } : route))
  const local = config.workers_dev ?? routes.length === 0
  await client.call('POST', `${script}/subdomain`, {
    json: { enabled: local, ...(config.preview_urls !== undefined && { previews_enabled: config.preview_urls }) },
  })
  const domains = routes.filter((route) => 'custom_domain' in route && route.custom_domain === true)
  const plain = routes
    .filter((route) => !domains.includes(route))
    .map((route) => ({ ...route, custom_domain: undefined }))
  if (plain.length > 0) await client.call('PUT', `${script}/routes`, { json: plain })
  if (domains.length > 0) {
    await client.call('PUT', `${script}/domains/records`, {
      json: {
        override_scope: true,
        override_existing_origin: true,
        override_existing_dns_record: true,
        origins: domains.map(({ pattern }) => ({ hostname: pattern })),
      },
    })
  }
  return { local, patterns: routes.map((route) => route.pattern) }
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`

function report(prepared: Prepared): string {
  const modules = prepared.bundle ? [prepared.bundle.main, ...prepared.bundle.others] : []
  const bytes = modules.reduce((sum, module) => sum + module.content.byteLength, 0)
  const files = prepared.assets ? `, ${count(prepared.assets.files.length, 'asset')}` : ''
  return `${count(modules.length, 'module')}, ${(bytes / 1024).toFixed(1)} KiB${files}`
}

async function deploy(folder: string | undefined, flags: DeployFlags, terminal: Terminal): Promise<void> {
  const start = resolve(terminal.folder, folder ?? '.')
  const path = flags.config === undefined ? findConfig(start) : resolve(terminal.folder, flags.config)
  if (basename(path).startsWith('fastly')) return deployProgram(path, flags, terminal)
  const found = readConfig(path, {
    ...(flags.env !== undefined && { environment: flags.env }),
    ...(flags.name !== undefined && { name: flags.name }),
  })
  const { config } = found
  const prepared = await prepare(config, found.folder)
  const size = report(prepared)
  if (flags.dryRun)
    return terminal.out(
      flags.json
        ? JSON.stringify({ name: config.name, dryRun: true, size })
        : `${config.name}: ${size}. Dry run: nothing was deployed.`,
    )
  const node = findNode(terminal, flags)
  const client = await createCloudflareClient(node)
  const uploaded = await upload(client, config, found.folder, prepared, flags.message)
  const { local, patterns } = await connect(client, config)
  const triggers = await setTriggers(client, config)
  const { addresses } = await node.json<{ addresses: { http: string } }>('GET', '/rimward/v1/status')
  const port = new URL(addresses.http).port
  const urls = [...(local ? [`http://${config.name}.localhost${port === '' ? '' : `:${port}`}/`] : []), ...patterns]
  const version = uploaded.deployment_id ?? uploaded.id
  if (flags.json)
    return terminal.out(JSON.stringify({ name: config.name, version, urls, ...(triggers.length > 0 && { triggers }) }))
  terminal.out(`${config.name}: ${size}`)
  terminal.out(`Deployed${version === undefined ? '' : ` version ${version}`}`)
  for (const line of [...urls, ...triggers]) terminal.out(`  ${line}`)
}

/** A folder with a `fastly.toml`. */
async function deployProgram(path: string, flags: DeployFlags, terminal: Terminal): Promise<void> {
  if (flags.env !== undefined) throw new Complaint('--env is for Workers; give --config with the other fastly.toml.')
  const read = readManifest(path)
  // Another name is another service.
  const manifest = flags.name === undefined ? read : { ...read, name: flags.name, serviceId: undefined }
  const module = readModule(manifest, terminal)
  const size = `${(module.length / 1024).toFixed(1)} KiB of WebAssembly`
  const { name } = manifest
  if (flags.dryRun)
    return terminal.out(
      flags.json ? JSON.stringify({ name, dryRun: true, size }) : `${name}: ${size}. Dry run: nothing was deployed.`,
    )
  const { version, urls } = await deployCompute({
    node: findNode(terminal, flags),
    manifest,
    module,
    terminal,
    ...(flags.message !== undefined && { message: flags.message }),
  })
  if (flags.json) return terminal.out(JSON.stringify({ name, version, urls }))
  terminal.out(`${name}: ${size}`)
  terminal.out(`Deployed version ${version}`)
  for (const url of urls) terminal.out(`  ${url}`)
}

export function addDeploy(program: Command, terminal: Terminal): void {
  nodeFlags(
    program
      .command('deploy')
      .argument(
        '[folder]',
        'folder of the program; its wrangler.json(c), wrangler.toml or fastly.toml is searched upwards',
      )
      .description('deploy a Worker without wrangler, or a Compute program without fastly'),
  )
    .option('-c, --config <file>', 'configuration file')
    .option('-e, --env <name>', 'environment of the configuration')
    .option('--name <name>', 'name of the program')
    .option('--message <text>', 'message kept with the version')
    .option('--dry-run', 'build, but deploy nothing')
    .action((folder: string | undefined, flags: DeployFlags) => deploy(folder, flags, terminal))
}
