/**
 * What a client reads when something failed: one sentence, the number people search for, and the id that the log has too.
 */
import { STATUS_CODES } from 'node:http'
import type { EdgeError } from '#/core/errors.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import type { ErrorPages } from '#/core/origin.ts'
import { acceptedType, type PageType } from '#/http/accept-type.ts'

export interface PageFacts {
  readonly id: string
  readonly pop: string
  readonly host: string
}

const contentTypes: Record<PageType, string> = {
  html: 'text/html; charset=utf-8',
  json: 'application/json; charset=utf-8',
  text: 'text/plain; charset=utf-8',
}

/** Says what the error's `detail` says, never its cause: what is inside stays in the log. `accept` chooses the form. */
export function errorPage(error: EdgeError, accept: string | undefined, facts: PageFacts): Answer {
  const type = acceptedType(accept)
  const { status } = error.row
  const headers = ['content-type', contentTypes[type], ...commonFields(error)]
  return { status, headers, body: Buffer.from(forms[type](error, facts)) }
}

/** What the site wants said instead, by status before class; undefined where it says nothing. */
export function customPage(error: EdgeError, pages: ErrorPages | undefined): Answer | undefined {
  if (pages === undefined) return undefined
  const { status } = error.row
  const page = pages[String(status)] ?? pages[`${Math.floor(status / 100)}xx`]
  if (page === undefined) return undefined
  return { status, headers: ['content-type', page.type, ...commonFields(error)], body: Buffer.from(page.body) }
}

function commonFields({ row }: EdgeError): HeaderList {
  const headers = ['cache-control', 'no-store', 'x-content-type-options', 'nosniff']
  if (row.status === 405) headers.push('allow', 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS')
  if (row.status === 503 && row.retry) headers.push('retry-after', '1')
  return headers
}

const forms: Record<PageType, (error: EdgeError, facts: PageFacts) => string> = { html, json, text }

function text(error: EdgeError, facts: PageFacts): string {
  const { row } = error
  const first = row.number === undefined ? `error: ${row.title}` : `error code: ${row.number}\n${row.title}`
  return `${first}\n${error.message}\nstatus ${row.status} · id ${facts.id} · ${facts.pop}\n`
}

function json(error: EdgeError, facts: PageFacts): string {
  const { row } = error
  const body = {
    error: error.code,
    ...(row.number !== undefined && { number: row.number }),
    status: row.status,
    title: row.title,
    detail: error.message,
    source: row.source,
    retry: row.retry,
    id: facts.id,
    pop: facts.pop,
  }
  return `${JSON.stringify(body)}\n`
}

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

function escaped(value: string): string {
  return value.replace(/[&<>"']/g, (character) => escapes[character]!)
}

const whoActs = {
  client: 'Check the request: address, method, size.',
  origin: 'The server behind this site has to be looked at by its owner.',
  program: 'The program on this site has to be looked at by its owner.',
  rimward: 'Try again in a moment; the operator of this platform finds the cause under the id below.',
} as const

function html(error: EdgeError, facts: PageFacts): string {
  const { row } = error
  const heading = row.number === undefined ? `${row.status} ${STATUS_CODES[row.status] ?? ''}` : `Error ${row.number}`
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>${escaped(row.title)} | ${escaped(heading.trim())}</title>
<style>body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:12vh auto;padding:0 1.5rem;color:#1c2430;background:#fff}h1{font-size:1.6rem;margin:0}small,footer{color:#5b6675}footer{margin-top:3rem;font-size:.85rem}@media(prefers-color-scheme:dark){body{color:#e6e9ee;background:#12161c}}</style>
<small>${escaped(heading.trim())}</small>
<h1>${escaped(row.title)}</h1>
<p>${escaped(error.message)}</p>
<p>${whoActs[row.source]}</p>
<footer>${escaped(facts.host)} · id ${escaped(facts.id)} · ${escaped(facts.pop)}</footer>
</html>
`
}
