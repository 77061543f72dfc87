/**
 * The life of one exchange, from accepted to recorded. ARCHITECTURE.md draws this function.
 */

import type { Certificates } from '#/core/certificates.ts'
import { EdgeError, toEdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Assets, Engine } from '#/core/ports.ts'
import type { Site, Snapshot } from '#/core/snapshot.ts'
import { headerValue } from '#/http/header-list.ts'
import { type AcceptedExchange, leave } from './accepted.ts'
import { answerChallenge } from './answer-challenge.ts'
import { type EdgeEgress, fetchOrigin } from './fetch-origin.ts'
import { findSite } from './find-site.ts'
import { type HandOver, isAway } from './hand-over.ts'
import { customPage, errorPage } from './pages.ts'
import { type Picked, type ProgramFirst, pickTarget } from './pick-target.ts'
import type { PurgePort } from './purge-request.ts'
import type { Reply } from './reply.ts'
import type { Pop } from './request-headers.ts'
import type { RequestTraces } from './request-traces.ts'
import { respond } from './respond.ts'
import { mayBeCached, runCached } from './run-cached.ts'
import { runProgram } from './run-program.ts'
import type { SiteAnswers } from './site-answers.ts'

export interface HandlePorts {
  readonly snapshot: () => Snapshot
  readonly engine: Pick<Engine, 'run' | 'warm'>
  readonly assets: Assets
  readonly programFirst: ProgramFirst
  readonly egress: EdgeEgress
  /** Absent: `PURGE` is a method like any other. */
  readonly purge: PurgePort | undefined
  readonly certificates: Certificates | undefined
  readonly traces: RequestTraces | undefined
  readonly siteAnswers: SiteAnswers
  readonly handOver: HandOver
  readonly limits: Limits
  readonly pop: Pop
  readonly debug: boolean
  /** In [0, 1): chooses between deployments that serve side by side. */
  readonly random: () => number
  readonly draining: boolean
  readonly unreadBodyBytes: number
  /** Called exactly once an exchange, whatever became of it. */
  record(exchange: AcceptedExchange): void
}

/** Never rejects: a failure becomes an error page, or a cut when the answer has begun. */
export async function handle(exchange: AcceptedExchange, reply: Reply, ports: HandlePorts): Promise<void> {
  const span = ports.traces?.begin(exchange)
  try {
    // Nothing is awaited where the value is at hand: a hit in memory is answered before this function returns.
    let answer = answerChallenge(exchange, ports.certificates) ?? answerSite(exchange, reply, ports)
    if (answer instanceof Promise) answer = (await answer) ?? (await answerSite(exchange, reply, ports))
    const sending = respond(exchange, reply, answer, ports)
    if (sending !== undefined) await sending
  } catch (thrown) {
    refuse(exchange, reply, exchange.fault ?? toEdgeError(thrown), ports)
  } finally {
    exchange.requestBody?.discard()
    leave(exchange)
    span?.end()
    ports.record(exchange)
  }
}

function answerSite(exchange: AcceptedExchange, reply: Reply, ports: HandlePorts): Answer | Promise<Answer> {
  const snapshot = ports.snapshot()
  const site = findSite(snapshot, exchange)
  if (site === undefined)
    throw new EdgeError('no_such_site', `No site on this platform is called ${exchange.host || '(no name)'}.`)
  exchange.site = site.name
  exchange.ofSite = site
  if (isAway(site, ports.pop.country)) {
    exchange.withheld = true
    return ports.handOver.inside(site.within!, exchange, reply)
  }
  const instead = ports.siteAnswers.before(site, exchange, reply)
  const answer = instead ?? answerTarget(exchange, reply, site, snapshot, ports)
  if (answer instanceof Promise) return answer.then((given) => ports.siteAnswers.after(site, exchange, given))
  return ports.siteAnswers.after(site, exchange, answer)
}

function answerTarget(
  exchange: AcceptedExchange,
  reply: Reply,
  site: Site,
  snapshot: Snapshot,
  ports: HandlePorts,
): Answer | Promise<Answer> {
  const picked = pickTarget(site, snapshot, exchange, { random: ports.random(), programFirst: ports.programFirst })
  switch (picked.kind) {
    case 'program':
      return run(exchange, reply, picked, ports)
    case 'assets':
      return answerFromAssets(exchange, reply, picked, ports)
    case 'origin':
      return fetchOrigin(exchange, site, picked, ports, reply)
    case 'redirect':
      return { status: picked.status, headers: ['location', picked.location], body: null }
  }
}

type Chosen<Kind> = Extract<Picked, { readonly kind: Kind }>

function run(
  exchange: AcceptedExchange,
  reply: Reply,
  picked: Pick<Chosen<'program'>, 'program' | 'deployment'>,
  ports: HandlePorts,
): Promise<Answer> {
  exchange.program = picked.program.name
  exchange.deployment = picked.deployment.id
  const { frontCache } = picked.deployment
  if (frontCache !== undefined && mayBeCached(exchange)) return runCached(exchange, reply, picked, frontCache, ports)
  return runProgram(exchange, reply, picked, ports)
}

/** Files first, then the program, then what `not_found_handling` says when there is none. */
async function answerFromAssets(
  exchange: AcceptedExchange,
  reply: Reply,
  picked: Chosen<'assets'>,
  ports: HandlePorts,
): Promise<Answer> {
  const answer =
    picked.otherwise === 'program'
      ? await ports.assets.match(picked.assets, exchange)
      : await ports.assets.answer(picked.assets, exchange)
  if (answer === undefined) return run(exchange, reply, picked, ports)
  exchange.program = picked.program.name
  exchange.deployment = picked.deployment.id
  return answer
}

/** Sends the error's page, or breaks off what was begun; `exchange.error` keeps it for the log. */
export function refuse(
  exchange: AcceptedExchange,
  reply: Reply,
  error: EdgeError,
  ports: Pick<HandlePorts, 'pop' | 'debug' | 'draining' | 'unreadBodyBytes' | 'siteAnswers'>,
): void {
  exchange.error = error
  if (reply.headSent || error.code === 'client_gone') {
    exchange.status ??= error.row.status
    reply.cut()
    return
  }
  const facts = { id: exchange.id, pop: ports.pop.id, host: exchange.host }
  try {
    const page =
      customPage(error, exchange.ofSite?.errorPages) ?? errorPage(error, headerValue(exchange.headers, 'accept'), facts)
    const finished = exchange.finishPage?.(page) ?? page
    respond(exchange, reply, ports.siteAnswers.page(exchange.ofSite, exchange, finished), ports)
  } catch {
    // The connection went away under the page; the error recorded is the first one.
    reply.cut()
  }
}
