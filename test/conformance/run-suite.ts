/** Runs the public cache suite through a proxy: its origin, its client, and the verdicts as cache-tests.fyi gives them. */
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { correctSuite } from './correct-suite.ts'
import type { Interim, SuiteGroup, SuiteKind, SuiteTest } from './suite-test.ts'

export type Verdict = 'pass' | 'fail' | 'dependency' | 'setup' | 'retry' | 'harness' | 'untested'

export interface Judged {
  readonly id: string
  readonly kind: SuiteKind
  readonly verdict: Verdict
  /** What the suite found wrong. */
  readonly reason: string | undefined
}

type Handler = (segments: string[], asked: IncomingMessage, answer: ServerResponse) => void
type Result = true | false | readonly [string, string]

/** The package has no types; only what stands here is used of it. */
async function load(path: string) {
  return import(`http-cache-tests/${path}`) as Promise<{
    readonly default: unknown
    readonly configs: Map<string, { interim_responses?: Interim[]; response_pause?: number }[]>
    runTests(
      groups: readonly SuiteGroup[],
      fetch: unknown,
      browser: boolean,
      base: string,
      atOnce: number,
    ): Promise<void>
    getResults(): Record<string, Result>
  }>
}

export interface SuiteOrigin {
  readonly port: number
  close(): void
}

export async function startSuiteOrigin(): Promise<SuiteOrigin> {
  const handlers: Record<string, Handler> = {}
  for (const name of ['config', 'test', 'state'])
    handlers[name] = (await load(`server/handle-${name}.mjs`)).default as Handler
  const { configs } = await load('server/utils.mjs')
  const server = createServer((asked, answer) => {
    const [what, ...segments] = new URL(asked.url!, 'http://origin').pathname.split('/').slice(1)
    const handler = handlers[what!]
    if (handler === undefined) {
      answer.writeHead(404).end()
      return
    }
    const config = what === 'test' ? configs.get(segments[0]!)?.[Number(asked.headers['req-num']) - 1] : undefined
    for (const [status, headers = []] of config?.interim_responses ?? [])
      if (status === 102) answer.writeProcessing()
      else answer.writeEarlyHints(Object.fromEntries(headers))
    const reply = () => handler(segments, asked, answer)
    if (config?.response_pause === undefined) reply()
    else setTimeout(reply, config.response_pause * 1000)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** `base` is the proxy's URL; its host name is resolved to the loopback address. */
export async function runSuite(base: string): Promise<readonly Judged[]> {
  const statuses = new Map<string, number>()
  const groups = correctSuite(
    (await load('tests/index.mjs')).default as SuiteGroup[],
    (await load('tests/surrogate-control.mjs')).default as SuiteGroup,
    (id) => statuses.get(id),
  )
  const tests = new Map(groups.flatMap((group) => group.tests).map((one) => [one.id, one]))
  for (const [id, { browser_only }] of tests) if (browser_only === true) tests.delete(id)
  const runner = await load('client/runner.mjs')
  await runner.runTests(groups, createFetch(tests, statuses), false, base, 25)
  return judge(tests, runner.getResults())
}

interface FetchOptions {
  readonly method?: string
  readonly body?: string
  readonly headers?: [string, string][]
}

/** What the suite's client fetches with: sees interim answers, sends fields as they stand, follows nothing. */
function createFetch(tests: ReadonlyMap<string, SuiteTest>, statuses: Map<string, number>) {
  return async (url: string, { method = 'GET', body, headers: given = [] }: FetchOptions = {}) => {
    const headers = [...given]
    // Browsers' fetch would add these; the suite keeps the cache's answer from depending on that.
    if (url.includes('/test/') && headers[0]?.[0] !== 'Pragma')
      headers.unshift(['Pragma', 'foo'], ['Cache-Control', 'nothing-to-see-here'])
    const valueFor = (name: string) => headers.find(([field]) => field === name)?.[1]
    const id = valueFor('Test-ID')
    const got: Interim[] = []
    const response = await fetchOnce(url, { method, headers, ...(body !== undefined && { body }) }, got)
    if (id === undefined) return response
    statuses.set(id, response.status)
    const expected = tests.get(id)?.requests[Number(valueFor('Req-Num')) - 1]?.expected_interim_responses
    if (expected !== undefined) checkInterim(got, expected)
    return response
  }
}

function fetchOnce(
  url: string,
  options: Required<Pick<FetchOptions, 'method' | 'headers'>> & FetchOptions,
  got: Interim[],
) {
  const { hostname, host, port, pathname, search } = new URL(url)
  const local = hostname.endsWith('.localhost') ? '127.0.0.1' : hostname
  const { method, headers, body } = options
  const merged = new Map<string, [string, string[]]>()
  for (const [name, value] of headers) {
    const known = merged.get(name.toLowerCase())
    if (known === undefined) merged.set(name.toLowerCase(), [name, [String(value)]])
    else known[1].push(String(value))
  }
  // As fetch() does: lines of one name become one.
  const fields = [...merged.values()].map(([name, values]) => [name, values.join(', ')] as const)
  return new Promise<Response>((resolve, reject) => {
    const asking = httpRequest(
      {
        host: local,
        port,
        path: pathname + search,
        method,
        headers: { ...Object.fromEntries(fields), host },
        timeout: 10_000,
      },
      (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk))
        answer.on('error', reject)
        answer.on('end', () => {
          const list = new Headers()
          for (let index = 0; index < answer.rawHeaders.length; index += 2)
            list.append(answer.rawHeaders[index]!, answer.rawHeaders[index + 1]!)
          const status = answer.statusCode!
          const empty = status === 204 || status === 304
          resolve(new Response(empty ? null : Buffer.concat(chunks), { status, headers: list }))
        })
      },
    )
    asking.on('information', ({ statusCode, headers: hints }) => {
      got.push([statusCode, Object.entries(hints).map(([name, value]) => [name, String(value)])])
    })
    asking.on('timeout', () => asking.destroy(Object.assign(new Error('no answer in 10 s'), { name: 'AbortError' })))
    asking.on('error', reject)
    asking.end(body)
  })
}

function checkInterim(got: readonly Interim[], expected: readonly Interim[]): void {
  const fail = (message: string) => {
    throw Object.assign(new Error(message), { name: 'Assertion' })
  }
  if (got.length !== expected.length) fail(`${got.length} interim answers, not ${expected.length}`)
  for (const [index, [status, headers = []]] of expected.entries()) {
    const [gotStatus, gotHeaders = []] = got[index]!
    if (gotStatus !== status) fail(`interim answer ${gotStatus}, not ${status}`)
    for (const [name] of headers)
      if (!gotHeaders.some(([field]) => field === name)) fail(`interim answer without ${name}`)
  }
}

/** A test passes only where what it presupposes passes. */
function judge(tests: ReadonlyMap<string, SuiteTest>, results: Readonly<Record<string, Result>>): readonly Judged[] {
  const verdicts = new Map<string, Verdict>()
  const verdictOf = (id: string): Verdict => {
    const known = verdicts.get(id)
    if (known !== undefined) return known
    verdicts.set(id, 'dependency')
    const verdict = judgeOne(tests.get(id), results[id])
    verdicts.set(id, verdict)
    return verdict
  }
  const judgeOne = (one: SuiteTest | undefined, result: Result | undefined): Verdict => {
    if (one === undefined || result === undefined) return 'untested'
    if ((one.depends_on ?? []).some((needed) => verdictOf(needed) !== 'pass')) return 'dependency'
    if (result === true) return 'pass'
    if (result === false || result[0] === 'AbortError') return 'harness'
    if (result[0] !== 'Setup') return 'fail'
    return result[1] === 'retry' ? 'retry' : 'setup'
  }
  return [...tests.values()].map(({ id, kind = 'required' }) => {
    const result = results[id]
    const reason = result === undefined || typeof result === 'boolean' ? undefined : result.join(': ')
    return { id, kind, verdict: verdictOf(id), reason }
  })
}
