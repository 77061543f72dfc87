/**
 * Scaffolds for what people add most often.
 *
 *   npm run new -- regress 123          test/regress/r123.test.ts, for the bug of issue 123
 *   npm run new -- decision some title  docs/decisions/NNNN-some-title.md, with the next number
 */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Scaffold {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
}

const regressText = (
  issue: string,
): string => `/** Issue ${issue}: say here in one sentence what went wrong, for whom. */
import assert from 'node:assert/strict'
import { test } from 'node:test'

test('issue ${issue}: say what must hold', () => {
  assert.fail('write the test that fails without the fix')
})
`

const decisionText = (title: string): string => `# ${title.charAt(0).toUpperCase()}${title.slice(1)}

## Context

What forces a choice, with what was measured or read.

## Decision

What we do.

## Consequences

What becomes easy, what becomes hard.

## Bounds

What can grow because of this, its cap in \`core/limits.ts\`, its default.

## Places

Where the data lives, and what other points of presence see when that place is gone.
`

/** What a command line asks for, or a sentence that says what is wrong with it. \`decisions\` are the files that exist. */
export function scaffold(words: readonly string[], decisions: readonly string[]): Scaffold | string {
  const [kind, ...rest] = words
  if (kind === 'regress') {
    const issue = rest[0] ?? ''
    if (rest.length !== 1 || !/^\d+$/.test(issue)) return 'regress takes the number of an issue, such as "regress 123"'
    return { path: `test/regress/r${issue}.test.ts`, text: regressText(issue) }
  }
  if (kind === 'decision') {
    const title = rest.join(' ').trim()
    if (title === '') return 'decision takes a title, such as "decision keep logs in files"'
    const last = Math.max(0, ...decisions.map((name) => Number.parseInt(name, 10) || 0))
    const slug = title
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '')
    return { path: `docs/decisions/${String(last + 1).padStart(4, '0')}-${slug}.md`, text: decisionText(title) }
  }
  return 'say what is new: "regress NUMBER" or "decision TITLE"'
}

if (import.meta.main) {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const folder = join(root, 'docs/decisions')
  const made = scaffold(process.argv.slice(2), existsSync(folder) ? readdirSync(folder) : [])
  const trouble =
    typeof made === 'string' ? made : existsSync(join(root, made.path)) ? `${made.path} is there already` : undefined
  if (typeof made === 'string' || trouble !== undefined) {
    console.error(`new: ${trouble}`)
    process.exit(1)
  }
  mkdirSync(dirname(join(root, made.path)), { recursive: true })
  writeFileSync(join(root, made.path), made.text)
  console.log(made.path)
}
