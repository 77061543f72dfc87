/** The form of a site's answer policy: what the doors accept and what a record holds are the same. */
import { z } from 'zod'
import { type AnswerPolicy, answerPolicyProblems } from '#/core/answer-policy.ts'
import { defaultLimits } from '#/core/limits.ts'

const text = z.string().max(8 * 1024)
const path = z.exactOptional(text)

const redirect = z.strictObject({
  from: text,
  to: text,
  status: z.union([z.literal(301), z.literal(302), z.literal(303), z.literal(307), z.literal(308)]),
})

const headerRule = z.discriminatedUnion('action', [
  z.strictObject({ action: z.literal('set'), name: text, value: text, path }),
  z.strictObject({ action: z.literal('add'), name: text, value: text, path }),
  z.strictObject({ action: z.literal('remove'), name: text, path }),
])

/** Unknown fields and rules that cannot hold are refused by name. */
export const answerPolicySchema = z
  .strictObject({
    httpsRedirect: z.exactOptional(z.boolean()),
    hsts: z.exactOptional(
      z.strictObject({
        maxAge: z.number(),
        includeSubDomains: z.exactOptional(z.boolean()),
        preload: z.exactOptional(z.boolean()),
      }),
    ),
    redirects: z.exactOptional(z.array(redirect)),
    headers: z.exactOptional(z.array(headerRule)),
    compression: z.exactOptional(z.enum(['on', 'off'])),
    earlyHints: z.exactOptional(z.enum(['off', 'http2', 'always'])),
  })
  .superRefine((policy, context) => {
    for (const message of answerPolicyProblems(policy, defaultLimits)) context.addIssue({ code: 'custom', message })
  })
  .describe('Redirects, header rules, compression and what else is done to answers.') satisfies z.ZodType<AnswerPolicy>
