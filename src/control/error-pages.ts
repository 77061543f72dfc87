/** Changes to a site's error pages, one by one: what is absent stays, null takes away. */
import type { ErrorPages } from '#/core/origin.ts'
import { Refusal } from './refusal.ts'
import { errorPagesForm } from './site-form.ts'

export type ErrorPagesChange = Readonly<Record<string, ErrorPages[string] | null>>

/** Undefined when none is left. Throws a `Refusal` (`too_many`) when they are more than allowed together. */
export function changeErrorPages(
  before: ErrorPages | undefined,
  change: ErrorPagesChange | null | undefined,
): ErrorPages | undefined {
  if (change === undefined) return before
  const pages: Record<string, ErrorPages[string]> = { ...(change === null ? undefined : before) }
  for (const [status, page] of Object.entries(change ?? {}))
    if (page === null) delete pages[status]
    else pages[status] = page
  const read = errorPagesForm.safeParse(pages)
  if (!read.success) throw new Refusal('too_many', `The error pages of a site ${read.error.issues[0]!.message}.`)
  return Object.keys(pages).length === 0 ? undefined : pages
}
