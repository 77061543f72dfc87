/**
 * `fastly.toml` as far as a deployment needs it. What would change how the program runs and is not here is refused by name.
 * https://www.fastly.com/documentation/reference/compute/fastly-toml/
 */
import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { parse as parseToml, TomlError } from 'smol-toml'
import { z } from 'zod'
import { Complaint } from '../complaint.ts'

const text = z.string()
const setupItem = z.looseObject({ value: text.optional(), file: text.optional() })
const setupStore = z.looseObject({ file: text.optional(), items: z.record(text, setupItem).default({}) })

const backend = z.strictObject({
  url: z.url({ protocol: /^https?$/ }),
  override_host: text.optional(),
  cert_host: text.optional(),
  use_sni: z.boolean().optional(),
})

const inline = z.strictObject({ format: z.literal('inline-toml'), contents: z.record(text, text) })
const jsonFile = z.strictObject({ format: z.literal('json'), file: text })
const texts = z.union([inline, jsonFile])
const entry = z.strictObject({
  key: text,
  data: text.optional(),
  file: text.optional(),
  path: text.optional(),
  env: text.optional(),
  metadata: text.optional(),
})
const entries = z.union([z.array(entry), jsonFile])
const stores = z.record(text, entries)

const setup = z.strictObject({
  backends: z.record(text, z.looseObject({ address: text.optional(), port: z.int().default(443) })).default({}),
  config_stores: z.record(text, setupStore).default({}),
  kv_stores: z.record(text, setupStore).default({}),
  object_stores: z.record(text, setupStore).default({}),
  secret_stores: z.record(text, z.looseObject({ entries: z.record(text, z.looseObject({})).default({}) })).default({}),
  log_endpoints: z.record(text, z.looseObject({ provider: text.optional() })).default({}),
  dictionaries: z.record(text, setupStore).default({}),
})

const localServer = z.strictObject({
  backends: z.record(text, backend).default({}),
  config_stores: z.record(text, texts).default({}),
  dictionaries: z.record(text, texts).default({}),
  kv_stores: stores.default({}),
  object_stores: stores.default({}),
  secret_stores: stores.default({}),
  acls: z.record(text, z.union([text, z.strictObject({ file: text })])).default({}),
  /** Of another tool. */
  viceroy_version: text.optional(),
})

const manifestSchema = z.looseObject({
  name: text.min(1),
  language: text.optional(),
  service_id: text.optional(),
  scripts: z.looseObject({ build: text.optional(), env_vars: z.array(text).default([]) }).optional(),
  setup: setup.optional(),
  local_server: localServer.optional(),
})

export type Setup = z.infer<typeof setup>
export type LocalServer = z.infer<typeof localServer>
export type LocalBackend = z.infer<typeof backend>
export type LocalTexts = z.infer<typeof texts>
export type LocalEntries = z.infer<typeof entries>

export interface Manifest {
  readonly path: string
  readonly folder: string
  /** As in the file, for the package. */
  readonly text: string
  readonly name: string
  readonly serviceId: string | undefined
  readonly build: string | undefined
  readonly buildVariables: readonly string[]
  readonly setup: Setup
  readonly local: LocalServer
}

/** Throws a `Complaint` with the file and the first thing that does not fit. */
export function readManifest(path: string): Manifest {
  const content = readFileSync(path, 'utf8')
  const read = manifestSchema.safeParse(parse(path, content))
  if (!read.success) throw explain(path, read.error.issues[0]!)
  const { name, service_id, scripts, setup: wished, local_server } = read.data
  return {
    path,
    folder: dirname(path),
    text: content,
    name,
    serviceId: service_id === '' ? undefined : service_id,
    build: scripts?.build === '' ? undefined : scripts?.build,
    buildVariables: scripts?.env_vars ?? [],
    setup: wished ?? setup.parse({}),
    local: local_server ?? localServer.parse({}),
  }
}

function parse(path: string, content: string): unknown {
  try {
    return parseToml(content)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    throw new Complaint(`${path}: line ${error.line}, column ${error.column}: ${error.message.split('\n')[0]}`)
  }
}

function explain(path: string, issue: z.core.$ZodIssue): Complaint {
  const where = issue.path.map(String).join('.')
  if (issue.code !== 'unrecognized_keys') return new Complaint(`${path}: "${where}": ${issue.message}`)
  const keys = issue.keys.map((key) => `"${where}.${key}"`).join(', ')
  return new Complaint(
    `${path}: ${keys} ${issue.keys.length > 1 ? 'are' : 'is'} not supported by "rimward deploy"; nothing was deployed.`,
  )
}
