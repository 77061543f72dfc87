/** Settings of a site from flags and from a JSON document, in the form of the API. The node says what is wrong with a value. */
import { readFile } from 'node:fs/promises'
import { Complaint } from './complaint.ts'

export interface SiteFlags {
  readonly origin?: readonly string[]
  readonly host?: readonly string[]
  readonly choice?: string
  readonly healthCheck?: string
  readonly defaultTtl?: string
  readonly storeSetCookie?: boolean
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

/** `cache` is the policy that the flags change. */
export function settingsOf(flags: SiteFlags, cache: object | undefined): object {
  const { origin, host, choice, healthCheck } = flags
  const policy = cacheOf(flags, cache)
  return {
    ...(origin !== undefined && (origin.length === 1 ? { origin: origin[0] } : { origins: origin })),
    ...(host !== undefined && { hosts: host.map((one) => one.toLowerCase()) }),
    ...(choice !== undefined && { choice }),
    ...(healthCheck !== undefined && { healthCheck: { path: healthCheck } }),
    ...(policy !== undefined && { cache: policy }),
  }
}

function cacheOf({ defaultTtl, storeSetCookie }: SiteFlags, before: object | undefined): object | undefined {
  if (defaultTtl === undefined && storeSetCookie === undefined) return undefined
  const ttl = defaultTtl !== undefined && /^\d+$/.test(defaultTtl) ? Number(defaultTtl) : defaultTtl
  return { ...before, ...(ttl !== undefined && { defaultTtl: ttl }), ...(storeSetCookie && { storeSetCookie }) }
}
