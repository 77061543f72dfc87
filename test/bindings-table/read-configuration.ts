/** The keys of wrangler's configuration, as the JSON schema of the installed wrangler says them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../support/node.ts'

interface Schema {
  readonly $ref?: string
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
  readonly allOf?: readonly Schema[]
  readonly items?: Schema | readonly Schema[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly additionalProperties?: Schema | boolean
  readonly definitions?: Readonly<Record<string, Schema>>
}

/** Every key with its parents, `[]` behind lists and `*` for names that people choose, e.g. `queues.consumers[].max_retries`. */
export function keysOf(schema: Schema, start = 'RawConfig'): ReadonlySet<string> {
  const definitions = schema.definitions ?? {}
  const found = new Set<string>()
  function walk(path: string, part: Schema, within: readonly string[]): void {
    if (part.$ref !== undefined) {
      const name = decodeURIComponent(part.$ref.split('/').at(-1)!)
      if (!within.includes(name)) walk(path, definitions[name]!, [...within, name])
      return
    }
    for (const one of [...(part.anyOf ?? []), ...(part.oneOf ?? []), ...(part.allOf ?? [])]) walk(path, one, within)
    for (const one of part.items === undefined ? [] : [part.items].flat()) walk(`${path}[]`, one as Schema, within)
    for (const [key, one] of Object.entries(part.properties ?? {})) {
      const full = path === '' ? key : `${path}.${key}`
      found.add(full)
      walk(full, one, within)
    }
    if (typeof part.additionalProperties === 'object') walk(`${path}.*`, part.additionalProperties, within)
  }
  walk('', definitions[start]!, [start])
  return found
}

export function installedSchema(): Schema {
  return JSON.parse(readFileSync(join(root, 'node_modules/wrangler/config-schema.json'), 'utf8'))
}

/** Is this key, as `keysOf` says it, set in a configuration? */
export function isSet(configuration: unknown, key: string): boolean {
  const steps = key.split('.').flatMap((step) => step.split(/(?=\[\])/))
  function look(value: unknown, at: number): boolean {
    if (at === steps.length) return value !== undefined
    if (typeof value !== 'object' || value === null) return false
    if (steps[at] === '[]') return Array.isArray(value) && value.some((one) => look(one, at + 1))
    if (steps[at] === '*') return Object.values(value).some((one) => look(one, at + 1))
    return look((value as Record<string, unknown>)[steps[at]!], at + 1)
  }
  return look(configuration, 0)
}
