/** Which files are modules of their own beside the bundle, and of which type. */
import { matchesGlob, posix } from 'node:path'
import type { ModuleType, Rule } from './config-schema.ts'

const defaultRules: readonly Rule[] = [
  { type: 'Text', globs: ['**/*.txt', '**/*.html', '**/*.sql'] },
  { type: 'Data', globs: ['**/*.bin'] },
  { type: 'CompiledWasm', globs: ['**/*.wasm'] },
]

/** The user's rules, then the defaults; a rule without `fallthrough` ends the list for its type, as in wrangler. */
export function allRules(rules: readonly Rule[] = []): readonly Rule[] {
  const ended = new Set<ModuleType>()
  return [...rules, ...defaultRules].filter((rule) => {
    if (ended.has(rule.type)) return false
    if (rule.fallthrough !== true) ended.add(rule.type)
    return true
  })
}

/** An import path without `?module` and the like. */
export const withoutQuery = (path: string): string => path.replace(/\?.*$/, '')

/** The type for a path or import specifier, by the first rule with a glob that matches. */
export function typeFor(rules: readonly Rule[], path: string): ModuleType | undefined {
  const clean = posix.normalize(withoutQuery(path)).replace(/^(\.\.?\/|\/)+/, '')
  return rules.find((rule) => rule.globs.some((glob) => matchesGlob(clean, withoutQuery(glob))))?.type
}
