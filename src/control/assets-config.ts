/** The configuration of a deployment's files, as an upload's metadata has it, checked value by value. */
import { parseBasePath } from '#/core/asset-base-path.ts'
import { parseHeaderRules } from '#/core/asset-headers.ts'
import { parseRedirects } from '#/core/asset-redirects.ts'
import { routingFaults } from '#/core/asset-routing.ts'
import type { RuleFault } from '#/core/asset-rule-url.ts'
import type { Limits } from '#/core/limits.ts'
import type { AssetsDeployment, ProgramName } from '#/core/snapshot.ts'
import { AssetsRefused } from './assets-refused.ts'

export type AssetsConfig = Omit<AssetsDeployment, 'manifest' | 'files'>

/** What else is in the upload that the files depend on. */
export interface AssetsContext {
  /** The program that is deployed: a completion token is good for the one it was issued for. */
  readonly program: ProgramName
  /** Is there a program besides the files? */
  readonly hasCode: boolean
  /** `YYYY-MM-DD` */
  readonly compatibilityDate?: string
  readonly compatibilityFlags?: readonly string[]
}

const htmlHandlings = ['auto-trailing-slash', 'force-trailing-slash', 'drop-trailing-slash', 'none'] as const
const notFoundHandlings = ['single-page-application', '404-page', 'none'] as const
const keys = ['html_handling', 'not_found_handling', 'base_path', 'run_worker_first', '_redirects', '_headers']

function refuse(message: string): never {
  throw new AssetsRefused('bad_config', message)
}

function oneOf<const Value extends string>(name: string, value: unknown, known: readonly Value[], none: Value): Value {
  if (value === undefined || value === null) return none
  const found = known.find((each) => each === value)
  return found ?? refuse(`assets.config.${name} is ${JSON.stringify(value)}; known values are ${known.join(', ')}.`)
}

function basePath(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined
  const parsed = parseBasePath(value)
  if ('fault' in parsed) return refuse(`assets.config.base_path is ${JSON.stringify(value)}; it ${parsed.fault}.`)
  return parsed.base === '/' ? undefined : parsed.base
}

function runFirst(value: unknown, hasCode: boolean): boolean | readonly string[] {
  if (value === undefined || value === null || value === false) return false
  if (value !== true && !(Array.isArray(value) && value.every((glob) => typeof glob === 'string')))
    return refuse('assets.config.run_worker_first must be true, false or a list of strings.')
  if (!hasCode) refuse('assets.config.run_worker_first is set, but the upload has no program to run.')
  if (value === true) return true
  const faults = routingFaults(value)
  if (faults.length > 0) refuse(`Invalid routes in run_worker_first:\n${faults.join('\n')}`)
  return value
}

function ruleFile(name: '_redirects' | '_headers', value: unknown, cap: number): string | undefined {
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value !== 'string') return refuse(`assets.config.${name} must be the text of the file.`)
  if (Buffer.byteLength(value) > cap) refuse(`The ${name} file is larger than ${cap} bytes.`)
  return value
}

function report(why: 'bad_redirects' | 'bad_headers', name: string, faults: readonly RuleFault[]): void {
  if (faults.length === 0) return
  const shown = faults.slice(0, 50).map(({ line, message }) => `Line ${line}: ${message}`)
  if (faults.length > shown.length) shown.push(`… and ${faults.length - shown.length} more.`)
  throw new AssetsRefused(why, `Invalid ${name} configuration:\n${shown.join('\n')}`)
}

/** Since this date navigations get `not_found_handling` before the program is asked. */
const navigationDate = '2025-04-01'

function navigationPrefersFiles({ compatibilityDate = '', compatibilityFlags = [] }: AssetsContext): boolean {
  if (compatibilityFlags.includes('assets_navigation_has_no_effect')) return false
  return compatibilityFlags.includes('assets_navigation_prefers_asset_serving') || compatibilityDate >= navigationDate
}

/** Throws `AssetsRefused` (`bad_config`, `bad_redirects`, `bad_headers`) that names the value or the lines. */
export function parseAssetsConfig(
  config: unknown,
  context: AssetsContext,
  limits: Pick<Limits, 'assetRuleFileBytes'>,
): AssetsConfig {
  if (config !== undefined && (typeof config !== 'object' || config === null || Array.isArray(config)))
    refuse('assets.config must be an object.')
  const given: Record<string, unknown> = { ...config }
  const unknown = Object.keys(given).find((key) => !keys.includes(key))
  if (unknown !== undefined) refuse(`assets.config.${unknown} is not supported.`)
  const htmlHandling = oneOf('html_handling', given.html_handling, htmlHandlings, 'auto-trailing-slash')
  const base = basePath(given.base_path)
  const redirectsFile = ruleFile('_redirects', given._redirects, limits.assetRuleFileBytes)
  const headersFile = ruleFile('_headers', given._headers, limits.assetRuleFileBytes)
  report('bad_redirects', '_redirects', parseRedirects(redirectsFile ?? '', htmlHandling).faults)
  report('bad_headers', '_headers', parseHeaderRules(headersFile ?? '').faults)
  return {
    htmlHandling,
    notFoundHandling: oneOf('not_found_handling', given.not_found_handling, notFoundHandlings, 'none'),
    runProgramFirst: runFirst(given.run_worker_first, context.hasCode),
    navigationPrefersFiles: navigationPrefersFiles(context),
    ...(base === undefined ? {} : { basePath: base }),
    ...(headersFile === undefined ? {} : { headersFile }),
    ...(redirectsFile === undefined ? {} : { redirectsFile }),
  }
}
