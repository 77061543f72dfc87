/**
 * `html_handling` and `not_found_handling`: which file a path means, or where it redirects.
 * Source: developers.cloudflare.com/workers/static-assets/routing/advanced/html-handling.
 */
import type { AssetsDeployment } from '#/core/snapshot.ts'

/** The content's name of the file at a decoded path; `undefined` when there is none. */
export type FindFile = (path: string) => string | undefined

export interface PathRules {
  readonly find: FindFile
  readonly htmlHandling: AssetsDeployment['htmlHandling']
  readonly notFoundHandling: AssetsDeployment['notFoundHandling']
}

export type Resolution =
  | { readonly kind: 'file'; readonly file: string; readonly status: 200 | 404; readonly why: 'html' | 'not-found' }
  /** The address under which the same file is served. */
  | { readonly kind: 'elsewhere'; readonly path: string }

/** One thing to try: serve a file, or redirect to `to` when that address serves the same content as the file. */
type Step = { readonly serve: string } | { readonly file: string; readonly to: string }

const index = '/index'
const indexHtml = '/index.html'
const html = '.html'

function autoSteps(path: string, exact: boolean): Step[] {
  const steps: Step[] = []
  if (path.endsWith(index) && !exact) {
    const stem = path.slice(0, -index.length)
    steps.push({ file: `${path}.html`, to: `${stem}/` }, { file: `${stem}.html`, to: stem })
  } else if (path.endsWith(indexHtml)) {
    const stem = path.slice(0, -indexHtml.length)
    steps.push({ file: path, to: `${stem}/` }, { file: `${stem}.html`, to: stem })
  } else if (path.endsWith('/')) {
    const stem = path.slice(0, -1)
    steps.push({ serve: `${path}index.html` }, { file: `${stem}.html`, to: stem })
  } else if (path.endsWith(html)) {
    const stem = path.slice(0, -html.length)
    steps.push({ file: path, to: stem }, { file: `${stem}/index.html`, to: `${stem}/` })
  }
  steps.push({ serve: path }, { serve: `${path}.html` }, { file: `${path}/index.html`, to: `${path}/` })
  return steps
}

function forceSteps(path: string, exact: boolean): Step[] {
  const steps: Step[] = []
  if (path.endsWith(index) && !exact) {
    const stem = path.slice(0, -index.length)
    steps.push({ file: `${path}.html`, to: `${stem}/` }, { file: `${stem}.html`, to: `${stem}/` })
  } else if (path.endsWith(indexHtml)) {
    const stem = path.slice(0, -indexHtml.length)
    steps.push({ file: path, to: `${stem}/` }, { file: `${stem}.html`, to: `${stem}/` })
  } else if (path.endsWith('/')) {
    steps.push({ serve: `${path}index.html` }, { serve: `${path.slice(0, -1)}.html` })
  } else if (path.endsWith(html)) {
    const stem = path.slice(0, -html.length)
    // With both /foo.html and /foo/index.html, the first is served at its own name.
    steps.push({ file: path, to: `${stem}/` }, { serve: path }, { file: `${stem}/index.html`, to: `${stem}/` })
  }
  steps.push({ serve: path }, { file: `${path}.html`, to: `${path}/` }, { file: `${path}/index.html`, to: `${path}/` })
  return steps
}

function dropSteps(path: string, exact: boolean): Step[] {
  const steps: Step[] = []
  // The root keeps its slash.
  if (path === index || path === indexHtml) {
    if (!exact || path === indexHtml) steps.push({ file: indexHtml, to: '/' })
  } else if (path.endsWith(index) && !exact) {
    const stem = path.slice(0, -index.length)
    steps.push({ file: `${stem}.html`, to: stem }, { file: `${path}.html`, to: stem })
  } else if (path.endsWith(indexHtml)) {
    const stem = path.slice(0, -indexHtml.length)
    // With both /foo.html and /foo/index.html, the second is served at its own name.
    steps.push({ file: path, to: stem }, { serve: path }, { file: `${stem}.html`, to: stem })
  } else if (path === '/') {
    steps.push({ serve: indexHtml })
  } else if (path.endsWith('/')) {
    const stem = path.slice(0, -1)
    steps.push({ file: `${stem}.html`, to: stem }, { file: `${stem}/index.html`, to: stem })
  } else if (path.endsWith(html)) {
    const stem = path.slice(0, -html.length)
    steps.push({ file: path, to: stem }, { file: `${stem}/index.html`, to: stem })
  }
  steps.push({ serve: path }, { serve: `${path}.html` }, { serve: `${path}/index.html` })
  return steps
}

const stepsOf: Record<AssetsDeployment['htmlHandling'], (path: string, exact: boolean) => Step[]> = {
  'auto-trailing-slash': autoSteps,
  'force-trailing-slash': forceSteps,
  'drop-trailing-slash': dropSteps,
  none: (path) => [{ serve: path }],
}

function notFound(path: string, { find, notFoundHandling }: PathRules): Resolution | undefined {
  if (notFoundHandling === 'single-page-application')
    return find(indexHtml) === undefined ? undefined : { kind: 'file', file: indexHtml, status: 200, why: 'not-found' }
  if (notFoundHandling === 'none') return undefined
  for (let folder = path; folder !== ''; ) {
    folder = folder.slice(0, Math.max(0, folder.lastIndexOf('/')))
    const file = `${folder}/404.html`
    if (find(file) !== undefined) return { kind: 'file', file, status: 404, why: 'not-found' }
  }
  return undefined
}

/** Would `to`, asked for itself, serve the content of `file` without another redirect? */
function servesSame(to: string, file: string, rules: PathRules): boolean {
  const content = rules.find(file)
  if (content === undefined || rules.find(to) !== undefined) return false
  const there = resolve(to, rules, { redirects: false })
  return there?.kind === 'file' && rules.find(there.file) === content
}

function resolve(path: string, rules: PathRules, { redirects }: { redirects: boolean }): Resolution | undefined {
  const { find, htmlHandling } = rules
  for (const step of stepsOf[htmlHandling](path, find(path) !== undefined)) {
    if ('serve' in step) {
      if (find(step.serve) !== undefined) return { kind: 'file', file: step.serve, status: 200, why: 'html' }
    } else if (redirects && servesSame(step.to, step.file, rules)) return { kind: 'elsewhere', path: step.to }
  }
  return notFound(path, rules)
}

/** Resolves a decoded path; `undefined` when no file answers. */
export function resolvePath(path: string, rules: PathRules): Resolution | undefined {
  return resolve(path, rules, { redirects: true })
}
