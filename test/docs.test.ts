/** The pages hold together: what they name exists, and what exists is named. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { root } from './support/node.ts'

const read = (path: string) => readFileSync(join(root, path), 'utf8')
const records = globSync('docs/decisions/[0-9]*.md', { cwd: root }).sort()

test('every dependency has its reason, and every reason its dependency', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json'))
  const rows = [...read('docs/decisions/0000-dependencies.md').matchAll(/^\| (`[^|]+`) +\|/gm)]
  const named = rows.flatMap(([, cell]) => [...cell!.matchAll(/`([^`]+)`/g)].map(([, name]) => name!))
  assert.deepEqual(named.sort(), Object.keys({ ...dependencies, ...devDependencies }).sort())
})

test('every decision record says bounds and places, and stands in the index under its title', () => {
  const index = read('docs/decisions/README.md')
  const lines = records.map((path) => {
    const text = read(path)
    for (const section of ['Context', 'Decision', 'Bounds', 'Places'])
      assert.match(text, new RegExp(`^## ${section}`, 'm'), `${path} lacks ${section}`)
    return `- [${/^# (.+)$/m.exec(text)![1]}](${path.split('/').at(-1)})`
  })
  assert.deepEqual(index.match(/^- .+$/gm), lines)
})

test('links between pages lead somewhere', () => {
  const pages = globSync(['*.md', 'docs/**/*.md'], { cwd: root })
  for (const page of pages)
    for (const [, target] of read(page).matchAll(/\]\((?!https?:|#)([^)#\s]+)/g))
      assert.ok(existsSync(join(root, dirname(page), target!)), `${page}: ${target}`)
})

test('files that the pages name exist', () => {
  for (const page of ['ARCHITECTURE.md', 'CONTRIBUTING.md', ...records])
    for (const [, path] of read(page).matchAll(/`((?:src|test|docs|bench|scripts|bin)\/[\w./-]+\.\w+)`/g))
      assert.ok(
        page === 'CONTRIBUTING.md' && path!.includes('r123') ? true : existsSync(join(root, path!)),
        `${page}: ${path}`,
      )
})
