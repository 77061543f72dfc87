/**
 * The front alone, a process of its own: an edge whose engine answers at once from memory, as a cache hit would.
 * Arguments: `--log FILE`, `--parser fast|node`; prints one line of JSON with its addresses.
 */
import { parseArgs } from 'node:util'
import type { ProgramAnswer } from '#/core/ports.ts'
import { benchLimits, helloSnapshot, serveHello } from './hello-edge.ts'

const { values } = parseArgs({ options: { log: { type: 'string' }, parser: { type: 'string', default: 'fast' } } })
const body = Buffer.alloc(1024, 'x')
const fields = [
  ...['content-type', 'text/html; charset=utf-8', 'cache-control', 'public, max-age=3600', 'etag', '"5f3c-1a2b3c"'],
  ...['last-modified', 'Mon, 02 Nov 2026 10:00:00 GMT', 'vary', 'Accept-Encoding', 'age', '12'],
]
const snapshot = helloSnapshot({
  code: {
    syntax: 'modules',
    mainModule: 'index.js',
    modules: [],
    compatibilityDate: '2026-01-01',
    compatibilityFlags: [],
  },
})
await serveHello({
  engine: {
    warm() {},
    async run(): Promise<ProgramAnswer> {
      return { status: 200, headers: fields, body, start: 'warm' }
    },
  },
  snapshot,
  limits: benchLimits,
  log: values.log,
  close: async () => {},
  fastHttp1: values.parser === 'fast',
  ownHttp2: values.parser === 'fast',
})
