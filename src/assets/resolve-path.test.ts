import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolvePath } from './resolve-path.ts'

const files = [
  '/index.html',
  '/404.html',
  '/file.html',
  '/folder/index.html',
  '/both.html',
  '/both/index.html',
  '/bin',
  '/bin.html',
  '/tool/index',
  '/deep/404.html',
  '/logo.png',
]

type Handling = 'auto-trailing-slash' | 'force-trailing-slash' | 'drop-trailing-slash' | 'none'

function shown(
  path: string,
  htmlHandling: Handling,
  notFoundHandling: '404-page' | 'none' | 'single-page-application',
) {
  // Contents differ: the name of each is its path.
  const find = (file: string) => (files.includes(file) ? file : undefined)
  const found = resolvePath(path, { find, htmlHandling, notFoundHandling })
  if (found === undefined) return 'nothing'
  return found.kind === 'file' ? `${found.status} ${found.file}` : `307 ${found.path}`
}

test('html_handling: which file a path means', () => {
  const modes: Handling[] = ['auto-trailing-slash', 'force-trailing-slash', 'drop-trailing-slash', 'none']
  const table: [string, string, string, string, string][] = [
    // path                 auto                    force                   drop                     none
    ['/', '200 /index.html', '200 /index.html', '200 /index.html', 'nothing'],
    ['/index', '307 /', '307 /', '307 /', 'nothing'],
    ['/index.html', '307 /', '307 /', '307 /', '200 /index.html'],
    ['/file', '200 /file.html', '307 /file/', '200 /file.html', 'nothing'],
    ['/file.html', '307 /file', '307 /file/', '307 /file', '200 /file.html'],
    ['/file/', '307 /file', '200 /file.html', '307 /file', 'nothing'],
    ['/file/index', '307 /file', '307 /file/', '307 /file', 'nothing'],
    ['/file/index.html', '307 /file', '307 /file/', '307 /file', 'nothing'],
    ['/folder', '307 /folder/', '307 /folder/', '200 /folder/index.html', 'nothing'],
    ['/folder.html', '307 /folder/', '307 /folder/', '307 /folder', 'nothing'],
    ['/folder/', '200 /folder/index.html', '200 /folder/index.html', '307 /folder', 'nothing'],
    ['/folder/index', '307 /folder/', '307 /folder/', '307 /folder', 'nothing'],
    ['/folder/index.html', '307 /folder/', '307 /folder/', '307 /folder', '200 /folder/index.html'],
    ['/both', '200 /both.html', '307 /both/', '200 /both.html', 'nothing'],
    ['/both.html', '307 /both', '200 /both.html', '307 /both', '200 /both.html'],
    ['/both/', '200 /both/index.html', '200 /both/index.html', '307 /both', 'nothing'],
    ['/both/index.html', '307 /both/', '307 /both/', '200 /both/index.html', '200 /both/index.html'],
    ['/bin', '200 /bin', '200 /bin', '200 /bin', '200 /bin'],
    ['/bin/', 'nothing', '200 /bin.html', 'nothing', 'nothing'],
    ['/bin.html', '200 /bin.html', '307 /bin/', '200 /bin.html', '200 /bin.html'],
    ['/tool/index', '200 /tool/index', '200 /tool/index', '200 /tool/index', '200 /tool/index'],
    ['/logo.png', '200 /logo.png', '200 /logo.png', '200 /logo.png', '200 /logo.png'],
    ['/missing', 'nothing', 'nothing', 'nothing', 'nothing'],
  ]
  for (const [path, ...expected] of table)
    for (const [index, mode] of modes.entries())
      assert.equal(shown(path, mode, 'none'), expected[index], `${mode} ${path}`)
})

test('not_found_handling', () => {
  const table: [string, string, string][] = [
    ['/missing', '404 /404.html', '200 /index.html'],
    ['/deep/er/x', '404 /deep/404.html', '200 /index.html'],
    ['/deep/', '404 /deep/404.html', '200 /index.html'],
    ['/file', '200 /file.html', '200 /file.html'],
  ]
  for (const [path, page, single] of table) {
    assert.equal(shown(path, 'auto-trailing-slash', '404-page'), page, path)
    assert.equal(shown(path, 'auto-trailing-slash', 'single-page-application'), single, path)
  }
})
