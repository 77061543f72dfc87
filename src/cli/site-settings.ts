/** Settings of a site from flags and from a JSON document, in the form of the API. The node says what is wrong with a value. */
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { Complaint } from './complaint.ts'

export interface SiteFlags {
  readonly origin?: readonly string[]
  readonly host?: readonly string[]
  readonly choice?: string
  readonly healthCheck?: string
  /** Empty takes it away. */
  readonly shield?: string
  readonly defaultTtl?: string
  readonly storeSetCookie?: boolean
  /** `STATUS=FILE` each; nothing behind the sign takes the page away. */
  readonly errorPage?: readonly string[]
  readonly httpsRedirect?: boolean
  readonly hsts?: string
  readonly compression?: string
  readonly file?: string
}

/** The document of `--file`; throws a `Complaint` when it cannot be read. */
export async function readSettings({ file }: SiteFlags): Promise<object> {
  if (file === undefined) return {}
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Complaint(`--file ${file} cannot be read: ${error.code ?? error.message}.`)
  })
  try {
    const read: unknown = JSON.parse(text)
    if (typeof read === 'object' && read !== null && !Array.isArray(read)) return read
  } catch {
    throw new Complaint(`--file ${file} is not JSON.`)
  }
  throw new Complaint(`--file ${file} does not hold a JSON object.`)
}

const pageTypes: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
}

/** The pages of `--error-page`; throws a `Complaint` that names the file. */
export async function readErrorPages({ errorPage = [] }: SiteFlags): Promise<object> {
  const pages: Record<string, object | null> = {}
  for (const text of errorPage) {
    const [, status, file] = /^([^=]+)=(.*)$/.exec(text) ?? []
    if (status === undefined || file === undefined)
      throw new Complaint(`--error-page takes STATUS=FILE, such as 5xx=sorry.html; got "${text}".`)
    pages[status] = file === '' ? null : await readPage(file)
  }
  return errorPage.length === 0 ? {} : { errorPages: pages }
}

async function readPage(file: string): Promise<object> {
  const type = pageTypes[extname(file).toLowerCase()]
  if (type === undefined)
    throw new Complaint(`--error-page: ${file} is neither .html, .json nor .txt; --file can name another type.`)
  const body = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new Complaint(`--error-page: ${file} cannot be read: ${error.code ?? error.message}.`)
  })
  return { type, body }
}

/** What the flags change single values of; the node takes these as a whole. */
export interface SiteBefore {
  readonly cache?: object
  readonly answers?: { readonly hsts?: object }
}

/** Whether the flags change single values of what the site has. */
export function needsBefore({ defaultTtl, storeSetCookie, httpsRedirect, hsts, compression }: SiteFlags): boolean {
  return [defaultTtl, storeSetCookie, httpsRedirect, hsts, compression].some((flag) => flag !== undefined)
}

export function settingsOf(flags: SiteFlags, before: SiteBefore): object {
  const { origin, host, choice, healthCheck, shield } = flags
  const policy = cacheOf(flags, before.cache)
  const answers = answersOf(flags, before.answers)
  return {
    ...(origin !== undefined && (origin.length === 1 ? { origin: origin[0] } : { origins: origin })),
    ...(host !== undefined && { hosts: host.map((one) => one.toLowerCase()) }),
    ...(choice !== undefined && { choice }),
    ...(healthCheck !== undefined && { healthCheck: { path: healthCheck } }),
    ...(shield !== undefined && { shield: shield === '' ? null : shield }),
    ...(policy !== undefined && { cache: policy }),
    ...(answers !== undefined && { answers }),
  }
}

function cacheOf({ defaultTtl, storeSetCookie }: SiteFlags, before: object | undefined): object | undefined {
  if (defaultTtl === undefined && storeSetCookie === undefined) return undefined
  const ttl = numberOf(defaultTtl)
  return { ...before, ...(ttl !== undefined && { defaultTtl: ttl }), ...(storeSetCookie && { storeSetCookie }) }
}

function answersOf({ httpsRedirect, hsts, compression }: SiteFlags, before: SiteBefore['answers']): object | undefined {
  if (httpsRedirect === undefined && hsts === undefined && compression === undefined) return undefined
  return {
    ...before,
    ...(httpsRedirect !== undefined && { httpsRedirect }),
    ...(hsts !== undefined && { hsts: { ...before?.hsts, maxAge: numberOf(hsts) } }),
    ...(compression !== undefined && { compression }),
  }
}

/** The node says what is wrong with what is no number. */
function numberOf(text: string | undefined): number | string | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : text
}
