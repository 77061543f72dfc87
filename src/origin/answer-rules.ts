/** Between the shared cache and the origins: what a request's own rules make of an answer, before it may be kept. */
import type { Egress } from '#/core/ports.ts'

/** Origins are asked as by `next`, or `answeredBy` in their stead; `onOriginAnswer` of the request has the last word on what they said. */
export function withAnswerRules(next: Egress): Egress {
  return {
    fetch: (request) => {
      const { onOriginAnswer, answeredBy } = request
      if (answeredBy !== undefined) return answeredBy(request)
      return onOriginAnswer === undefined ? next.fetch(request) : next.fetch(request).then(onOriginAnswer)
    },
    close: () => next.close(),
  }
}
