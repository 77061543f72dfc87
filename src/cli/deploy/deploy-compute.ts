/** `rimward deploy` of a folder with a `fastly.toml`: what `fastly compute deploy` does, without the CLI, `[local_server]` included. */
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { siteNameOf } from '#/core/service-site-name.ts'

import { Complaint } from '../complaint.ts'
import type { NodeClient } from '../find-node.ts'
import type { Terminal } from '../terminal.ts'
import { missingSecrets, provideStores, putTexts, textsOf } from './compute-stores.ts'
import { createFastlyClient, type FastlyClient } from './fastly-client.ts'
import type { LocalBackend, Manifest } from './fastly-manifest.ts'
import { writePackage } from './write-package.ts'

interface Service {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly active_version: { readonly number: number } | null
  readonly versions: readonly { readonly number: number; readonly locked: boolean }[]
}

export interface DeployedCompute {
  readonly name: string
  readonly version: number
  readonly urls: readonly string[]
}

/** The module's bytes; built by `[scripts].build` where it is missing. Throws a `Complaint`. */
export function readModule(manifest: Manifest, terminal: Pick<Terminal, 'err' | 'env'>): Uint8Array {
  const path = join(manifest.folder, 'bin/main.wasm')
  if (!existsSync(path)) build(manifest, terminal)
  if (!existsSync(path)) throw new Complaint(`The build of ${manifest.path} left no bin/main.wasm.`)
  return readFileSync(path)
}

function build(
  { path, folder, build: command, buildVariables }: Manifest,
  { err, env }: Pick<Terminal, 'err' | 'env'>,
) {
  if (command === undefined)
    throw new Complaint(`There is no bin/main.wasm beside ${path}, and no "scripts.build" that makes one.`)
  err(`Building: ${command}`)
  const variables = buildVariables.map((text) => [text.split('=', 1)[0]!, text.slice(text.indexOf('=') + 1)])
  const { status } = spawnSync(command, {
    shell: true,
    cwd: folder,
    env: { ...env, PATH: withBinaries(folder, env.PATH), ...Object.fromEntries(variables) },
    // Its output is for people: stdout stays clean for --json.
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) throw new Complaint(`The build command "${command}" failed (exit code ${status}).`)
}

/** Programs of packages that are installed here or above, as npm's scripts find them. */
function withBinaries(folder: string, path = ''): string {
  const above = [folder]
  while (dirname(above.at(-1)!) !== above.at(-1)) above.push(dirname(above.at(-1)!))
  return [...above.map((one) => join(one, 'node_modules/.bin')), path].join(delimiter)
}

export interface ComputeDeploy {
  readonly node: NodeClient
  readonly manifest: Manifest
  readonly module: Uint8Array
  readonly terminal: Terminal
  /** Kept with the version. */
  readonly message?: string
}

/** Throws a `Complaint`; a service that was made for this is gone again then, and one that serves goes on as it was. */
export async function deployCompute(wish: ComputeDeploy): Promise<DeployedCompute> {
  const client = createFastlyClient(wish.node)
  const known = await findService(client, wish.manifest)
  const service = known ?? (await makeService(client, wish.manifest.name))
  const version = await provideVersion(client, service)
  try {
    await fillVersion(client, wish, service.id, version)
  } catch (error) {
    if (known === undefined) await client.call('DELETE', `/service/${service.id}`).catch(() => {})
    throw error
  }
  sayWhatIsMissing(wish)
  return { name: service.name, version, urls: await urlsOf(client, wish.node, service, version) }
}

const pathOf = (service: string, version: number) => `/service/${service}/version/${version}`

async function fillVersion(
  client: FastlyClient,
  { manifest, module, terminal, message }: ComputeDeploy,
  service: string,
  number: number,
): Promise<void> {
  const version = pathOf(service, number)
  await putBackends(client, manifest, version)
  await provideStores({ client, manifest, env: terminal.env, version })
  await putDictionaries(client, manifest, service, version)
  const bytes = writePackage(manifest.name, module, manifest.text)
  await client.call('PUT', `${version}/package`, { bytes, headers: { 'content-type': 'application/gzip' } })
  if (message !== undefined) await client.call('PUT', version, { form: { comment: message } })
  await client.call('PUT', `${version}/activate`)
}

function sayWhatIsMissing({ manifest, terminal }: ComputeDeploy): void {
  for (const secret of missingSecrets(manifest))
    terminal.err(`The secret ${secret} has no value here: set it with "fastly secret-store-entry create".`)
  for (const name of Object.keys(manifest.setup.log_endpoints))
    terminal.err(`The log endpoint ${name} is for you to make: "fastly service logging https create".`)
}

/** By the id in the file where this node has it, else by name. */
async function findService(client: FastlyClient, manifest: Manifest): Promise<Service | undefined> {
  const { name, serviceId, path } = manifest
  const details = (id: string) => client.find<Service>(`/service/${id}/details`)
  let found = serviceId === undefined ? undefined : await details(serviceId)
  if (found === undefined) {
    const named = await client.find<Service>(`/service/search?name=${encodeURIComponent(name)}`)
    found = named && (await details(named.id))
  }
  if (found !== undefined && found.type !== 'wasm')
    throw new Complaint(`${path}: '${found.name}' is a service without programs on this node; choose another name.`)
  return found
}

async function makeService(client: FastlyClient, name: string): Promise<Service> {
  const made = await client.call<{ readonly id: string }>('POST', '/service', { form: { name, type: 'wasm' } })
  return client.call('GET', `/service/${made.id}/details`)
}

/** A draft: the newest one, or a copy of what serves. */
async function provideVersion(client: FastlyClient, { id, active_version, versions }: Service): Promise<number> {
  const newest = versions.at(-1)!
  if (!newest.locked) return newest.number
  const from = active_version?.number ?? newest.number
  return (await client.call<{ number: number }>('PUT', `/service/${id}/version/${from}/clone`)).number
}

/** Made or changed to what the file says; others that the service has stay. */
async function putBackends(client: FastlyClient, { setup, local }: Manifest, version: string): Promise<void> {
  const wanted = new Map<string, Record<string, string>>()
  for (const [name, { address, port }] of Object.entries(setup.backends))
    if (address !== undefined) wanted.set(name, { address, port: String(port) })
  for (const [name, given] of Object.entries(local.backends)) wanted.set(name, localBackend(name, given))
  const known = await client.call<readonly { readonly name: string }[]>('GET', `${version}/backend`)
  for (const [name, fields] of wanted)
    if (known.some((one) => one.name === name))
      await client.call('PUT', `${version}/backend/${encodeURIComponent(name)}`, { form: fields })
    else await client.call('POST', `${version}/backend`, { form: { name, ...fields } })
}

function localBackend(name: string, { url, override_host, cert_host, use_sni }: LocalBackend): Record<string, string> {
  const { protocol, hostname, port, pathname, search } = new URL(url)
  if (pathname !== '/' || search !== '')
    throw new Complaint(`The URL of the backend "${name}" has a path, which is not supported: ${url}`)
  if (use_sni === false) throw new Complaint(`"local_server.backends.${name}.use_sni = false" is not supported.`)
  const tls = protocol === 'https:'
  return {
    address: hostname.replace(/^\[|\]$/g, ''),
    port: port === '' ? (tls ? '443' : '80') : port,
    use_ssl: tls ? '1' : '0',
    override_host: override_host ?? '',
    ...(tls && { ssl_sni_hostname: cert_host ?? override_host ?? hostname }),
    ...(tls && { ssl_cert_hostname: cert_host ?? override_host ?? hostname }),
  }
}

async function putDictionaries(
  client: FastlyClient,
  manifest: Manifest,
  service: string,
  version: string,
): Promise<void> {
  for (const [name, given] of Object.entries(manifest.local.dictionaries)) {
    const listed = await client.call<readonly { name: string; id: string }[]>('GET', `${version}/dictionary`)
    const found = listed.find((one) => one.name === name)
    const { id } = found ?? (await client.call<{ id: string }>('POST', `${version}/dictionary`, { form: { name } }))
    await putTexts(client, `/service/${service}/dictionary/${id}/items`, textsOf({ manifest }, given))
  }
}

async function urlsOf(client: FastlyClient, node: NodeClient, service: Service, version: number): Promise<string[]> {
  const domains = await client.call<readonly { name: string }[]>('GET', `${pathOf(service.id, version)}/domain`)
  const { addresses } = await node.json<{ addresses: { http: string } }>('GET', '/rimward/v1/status')
  const port = new URL(addresses.http).port
  const hosts = domains.length > 0 ? domains.map((one) => one.name) : [`${siteNameOf(service.name)}.localhost`]
  return hosts.map((host) => `http://${host}${port === '' ? '' : `:${port}`}/`)
}
