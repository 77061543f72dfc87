/**
 * `run_worker_first`: which paths go to the program before its files are looked at.
 * Source: developers.cloudflare.com/workers/static-assets/routing/worker-script.
 */
import { compilePattern, type Matcher, patternWildcards } from './asset-pattern.ts'
import type { AssetsDeployment } from './snapshot.ts'

export const routingRules = 100
export const routingRuleLength = 100

interface Rules {
  readonly files: readonly Matcher[]
  readonly program: readonly Matcher[]
}

const compiled = new WeakMap<readonly string[], Rules>()

function compile(globs: readonly string[]): Rules {
  const known = compiled.get(globs)
  if (known !== undefined) return known
  const matcher = (glob: string) => compilePattern(glob, { named: false })
  const rules = {
    files: globs.filter((glob) => glob.startsWith('!')).map((glob) => matcher(glob.slice(1))),
    program: globs.filter((glob) => !glob.startsWith('!')).map(matcher),
  }
  compiled.set(globs, rules)
  return rules
}

/** Why a list of globs cannot be used, one sentence each; empty when it can. */
export function routingFaults(globs: readonly string[]): string[] {
  if (globs.length === 0) return ['No rules were given; at least one is needed.']
  if (globs.length > routingRules) return [`${globs.length} rules were given; at most ${routingRules} are supported.`]
  if (globs.every((glob) => glob.startsWith('!')))
    return ['Only negative rules were given; at least one rule must not begin with "!".']
  const faults: string[] = []
  for (const [index, glob] of globs.entries()) {
    if (!/^!?\//.test(glob)) faults.push(`'${glob}': rules begin with "/" or "!/".`)
    if (glob.length > routingRuleLength) faults.push(`'${glob}': longer than ${routingRuleLength} characters.`)
    if (glob.split('*').length - 1 > patternWildcards)
      faults.push(`'${glob}': more than ${patternWildcards} wildcards.`)
    if (globs.indexOf(glob) !== index) faults.push(`'${glob}': stands twice.`)
    const covers = glob.endsWith('*')
      ? globs.filter((other) => other !== glob && other.startsWith(glob.slice(0, -1)))
      : []
    for (const other of covers) faults.push(`'${other}': '${glob}' makes it redundant.`)
  }
  return faults
}

/**
 * Who is asked first: `program` and `files` are final (no falling back to the other); `undecided`: the files where one
 * matches, else the program. Negative rules win over positive ones. `path` is percent-encoded, its query is ignored.
 */
export function routeFirst(
  assets: Pick<AssetsDeployment, 'runProgramFirst'>,
  path: string,
): 'program' | 'files' | 'undecided' {
  const rule = assets.runProgramFirst
  if (typeof rule === 'boolean') return rule ? 'program' : 'undecided'
  const rules = compile(rule)
  const query = path.indexOf('?')
  const pathname = new URL(`http://h${query < 0 ? path : path.slice(0, query)}`).pathname
  if (rules.files.some((match) => match(pathname) !== undefined)) return 'files'
  return rules.program.some((match) => match(pathname) !== undefined) ? 'program' : 'undecided'
}

/** Does the program answer this path before any file is looked at? */
export function programFirst(assets: Pick<AssetsDeployment, 'runProgramFirst'>, path: string): boolean {
  return routeFirst(assets, path) === 'program'
}
