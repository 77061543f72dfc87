/** Replaces, or adds at the end, the section of one row between its two comments; the rest of the page stays. */
export function putSection(page: string, name: string, section: string): string {
  const start = `<!-- bench: ${name} -->`
  const end = `<!-- /bench: ${name} -->`
  const block = `${start}\n${section.trim()}\n${end}`
  const from = page.indexOf(start)
  const to = page.indexOf(end)
  if (from < 0 || to < from) return `${page.trimEnd()}\n\n${block}\n`
  return page.slice(0, from) + block + page.slice(to + end.length)
}
