/** The texts of `_headers` and `_redirects` as one blob, for programs that stay in their countries. */
import type { AssetsDeployment } from './snapshot.ts'

export type RuleFiles = Pick<AssetsDeployment, 'headersFile' | 'redirectsFile'>

export function serializeRuleFiles({ headersFile, redirectsFile }: RuleFiles): Uint8Array {
  return new TextEncoder().encode(JSON.stringify({ headersFile, redirectsFile }))
}

/** Throws an Error for bytes that are none. */
export function parseRuleFiles(bytes: Uint8Array): RuleFiles {
  const read: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  if (typeof read !== 'object' || read === null) throw new Error('The rules of files are no object.')
  const { headersFile, redirectsFile } = read as { readonly headersFile?: unknown; readonly redirectsFile?: unknown }
  return {
    ...(typeof headersFile === 'string' && { headersFile }),
    ...(typeof redirectsFile === 'string' && { redirectsFile }),
  }
}
