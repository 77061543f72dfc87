/** Finds and reads a Worker's configuration and picks an environment. Everything wrong is a `Complaint` with file and place. */
import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { type ParseError, parse as parseJsonc, printParseErrorCode } from 'jsonc-parser'
import { parse as parseToml, TomlError } from 'smol-toml'
import type { z } from 'zod'
import { Complaint } from '../complaint.ts'
import { configSchema, ownKeys, type RawConfig, type WorkerConfig } from './config-schema.ts'

export interface FoundConfig {
  readonly path: string
  /** Folder that paths in the configuration are relative to. */
  readonly folder: string
  readonly config: WorkerConfig
}

/** A folder with several is a Worker's, whose tools look for the first ones. */
const fileNames = ['wrangler.json', 'wrangler.jsonc', 'wrangler.toml', 'fastly.toml']

/** The nearest configuration at or above the folder: a Worker's or a Compute program's. */
export function findConfig(start: string): string {
  if (!existsSync(start)) throw new Complaint(`There is no folder ${start}.`)
  for (let folder = start; ; folder = dirname(folder)) {
    for (const name of fileNames)
      if (existsSync(join(folder, name))) return (name !== 'fastly.toml' && builtConfig(folder)) || join(folder, name)
    if (folder === dirname(folder)) break
  }
  throw new Complaint(
    `There is no wrangler.jsonc, wrangler.json, wrangler.toml or fastly.toml in ${start} or above it.`,
  )
}

/** What a build tool, such as the Vite plugin, wrote to be deployed instead of the folder's own configuration. */
function builtConfig(folder: string): string | undefined {
  const pointer = join(folder, '.wrangler/deploy/config.json')
  if (!existsSync(pointer)) return undefined
  const { configPath } = parseText(pointer, readFileSync(pointer, 'utf8')) as { readonly configPath?: unknown }
  if (typeof configPath !== 'string') throw new Complaint(`${pointer}: "configPath" is missing.`)
  const path = resolve(dirname(pointer), configPath)
  if (!existsSync(path)) throw new Complaint(`${pointer} names ${path}, which is not there: build the project anew.`)
  return path
}

/** Build tools write all settings, most of them empty: one that is empty asks for nothing, so it need not be supported. */
function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).filter(([key, one]) => key in configSchema.shape || !isEmpty(one)))
}

function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0
  return typeof value === 'object' && value !== null && Object.values(value).every(isEmpty)
}

function placeOf(text: string, offset: number): string {
  const before = text.slice(0, offset).split('\n')
  return `line ${before.length}, column ${before.at(-1)!.length + 1}`
}

function parseText(path: string, text: string): unknown {
  if (path.endsWith('.toml')) {
    try {
      return parseToml(text)
    } catch (error) {
      if (!(error instanceof TomlError)) throw error
      throw new Complaint(`${path}: line ${error.line}, column ${error.column}: ${error.message.split('\n')[0]}`)
    }
  }
  const errors: ParseError[] = []
  const value: unknown = parseJsonc(text, errors, { allowTrailingComma: true })
  const first = errors[0]
  if (first) throw new Complaint(`${path}: ${placeOf(text, first.offset)}: ${printParseErrorCode(first.error)}`)
  return value
}

/** One sentence for the first thing that does not fit; keys that are unknown or unsupported come by name. */
function explain(path: string, issue: z.core.$ZodIssue): Complaint {
  const where = issue.path.map(String).join('.')
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => `"${where === '' ? key : `${where}.${key}`}"`).join(', ')
    const verb = issue.keys.length > 1 ? 'are' : 'is'
    return new Complaint(`${path}: ${keys} ${verb} not supported by "rimward deploy"; nothing was deployed.`)
  }
  return new Complaint(`${path}: ${where === '' ? 'the file' : `"${where}"`}: ${issue.message}`)
}

function pickEnvironment(path: string, raw: RawConfig, environment: string | undefined): RawConfig {
  if (environment === undefined || environment === '') return raw
  const chosen = raw.env?.[environment]
  if (chosen === undefined) {
    const known = Object.keys(raw.env ?? {})
    throw new Complaint(
      `${path} has no environment "${environment}"${known.length > 0 ? `; it has ${known.join(', ')}` : ''}.`,
    )
  }
  const inherited: RawConfig = { ...raw }
  for (const key of ownKeys) delete inherited[key]
  // A `route` of the environment stands against `routes` of the top level, and the other way round.
  if (chosen.route !== undefined || chosen.routes !== undefined) {
    delete inherited.route
    delete inherited.routes
  }
  const name = chosen.name ?? (raw.name === undefined ? undefined : `${raw.name}-${environment}`)
  return { ...inherited, ...chosen, ...(name !== undefined && { name }) }
}

export interface ReadOptions {
  readonly environment?: string
  readonly name?: string
}

export function readConfig(path: string, options: ReadOptions = {}): FoundConfig {
  const parsed = configSchema.safeParse(withoutEmpty(parseText(path, readFileSync(path, 'utf8'))))
  if (!parsed.success) throw explain(path, parsed.error.issues[0]!)
  const { env: _, route, routes, ...config } = pickEnvironment(path, parsed.data, options.environment)
  if (route !== undefined && routes !== undefined) throw new Complaint(`${path}: give "route" or "routes", not both.`)
  const name = options.name ?? config.name
  if (name === undefined) throw new Complaint(`${path}: "name" is missing.`)
  if (!/^[a-z0-9_][a-z0-9-_]{0,62}$/.test(name)) {
    throw new Complaint(
      `${path}: the name "${name}" may hold lower-case letters, digits, "-" and "_" only, at most 63.`,
    )
  }
  if (config.main === undefined && config.assets === undefined) {
    throw new Complaint(`${path}: "main" is missing (or "assets", for a Worker of files only).`)
  }
  if (config.compatibility_date === undefined) throw new Complaint(`${path}: "compatibility_date" is missing.`)
  const all = route !== undefined ? [route] : (routes ?? [])
  return { path: join(dirname(path), basename(path)), folder: dirname(path), config: { ...config, name, routes: all } }
}
