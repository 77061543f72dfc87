/**
 * Our own modules that run inside workerd: the TypeScript of `inside/*.worker.ts` with its types taken out, as JavaScript.
 */
import { readFileSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

const read = new Map<string, string>()

/** Source of `inside/NAME.worker.ts` as an ES module; line numbers are those of the file. */
export function insideModule(name: InsideModule): string {
  const known = read.get(name)
  if (known !== undefined) return known
  const source = readFileSync(join(import.meta.dirname, 'inside', `${name}.worker.ts`), 'utf8')
  const stripped = stripTypeScriptTypes(source)
  read.set(name, stripped)
  return stripped
}

export type InsideModule =
  | 'dataset'
  | 'describe'
  | 'dispatch'
  | 'dispatch-forward'
  | 'dispatched'
  | 'email'
  | 'events'
  | 'everywhere'
  | 'front'
  | 'leave'
  | 'object-forward'
  | 'object-route'
  | 'objects-env'
  | 'own-everywhere'
  | 'outbound'
  | 'own-host'
  | 'own-leave'
  | 'rate-limit'
  | 'service-forward'
  | 'stored-secret'
  | 'rimward-sha256'
  | 'tail'
  | 'workflow-binding'
  | 'workflow-run'
  | 'workflow-steps'
  | 'workflow-values'
