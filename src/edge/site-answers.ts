/**
 * What a site does to a request before its target is asked, and to the answer before it goes out.
 */
import type { AnswerPolicy } from '#/core/answer-policy.ts'
import type { Answer } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Site } from '#/core/snapshot.ts'
import type { AcceptedExchange } from './accepted.ts'
import { createCompressor } from './compress.ts'
import { createEarlyHints } from './early-hints.ts'
import type { Reply } from './reply.ts'
import { compileSiteRules, type SiteRules } from './site-rules.ts'

export interface SiteAnswers {
  /** A redirect in place of the target's answer, or undefined. Sends early hints on the way. */
  before(site: Site, exchange: AcceptedExchange, reply: Reply): Answer | undefined
  /** Header rules, then the coding that the client accepts. At once where nothing is to be computed. */
  after(site: Site, exchange: AcceptedExchange, answer: Answer): Answer | Promise<Answer>
  /** Header rules on one of the platform's own error pages. */
  page(site: Pick<Site, 'answers'> | undefined, exchange: AcceptedExchange, page: Answer): Answer
}

export interface SiteAnswersOptions {
  readonly limits: Limits
  /** Asked once a policy, when its first request comes. */
  readonly httpsPort: () => number | undefined
}

export function createSiteAnswers({ limits, httpsPort }: SiteAnswersOptions): SiteAnswers {
  const compressor = createCompressor({ limits })
  const hints = createEarlyHints({ limits })
  /** A policy never changes: a new Snapshot brings a new object. */
  const compiled = new WeakMap<AnswerPolicy, SiteRules>()

  function rulesOf(policy: AnswerPolicy): SiteRules {
    const known = compiled.get(policy)
    if (known !== undefined) return known
    const rules = compileSiteRules(policy, { httpsPort: httpsPort() })
    compiled.set(policy, rules)
    return rules
  }

  function withRules(answers: AnswerPolicy | undefined, exchange: AcceptedExchange, answer: Answer): Answer {
    if (answers === undefined) return answer
    const headers = rulesOf(answers).headers(answer.headers, exchange)
    return headers === answer.headers ? answer : { ...answer, headers }
  }

  return {
    page: (site, exchange, page) => withRules(site?.answers, exchange, page),
    before({ answers }, exchange, reply) {
      const redirect = answers && rulesOf(answers).redirect(exchange)
      if (redirect !== undefined) return redirect
      const wish = answers?.earlyHints ?? 'http2'
      if (wish === 'off' || (wish === 'http2' && exchange.httpVersion !== '2')) return undefined
      const links = hints.of(exchange)
      if (links !== undefined) reply.informational(103, links)
      return undefined
    },
    after({ answers }, exchange, answer) {
      if (answer.status === 101) return answer
      const changed = withRules(answers, exchange, answer)
      if (answers?.earlyHints !== 'off') hints.learn(exchange, changed.status, changed.headers)
      return answers?.compression === 'off' || answer.verbatim === true ? changed : compressor.encode(changed, exchange)
    },
  }
}
