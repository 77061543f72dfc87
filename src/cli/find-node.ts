/** Finds the running node and calls its API. */
import { existsSync } from 'node:fs'
import { Complaint } from './complaint.ts'
import { findDataFolder, isClaimed, readNodeFile, readToken } from './data-folder.ts'
import type { Terminal } from './terminal.ts'

export interface NodeOptions {
  readonly api?: string
  readonly data: string
}

export type RequestBody = NonNullable<NonNullable<Parameters<typeof fetch>[1]>['body']>

export interface NodeClient {
  /** Base URL, without a slash at the end. */
  readonly url: string
  readonly token: string
  /** Sends the request and hands back the answer whatever its status. Throws a `Complaint` when nothing listens. */
  send(
    method: string,
    path: string,
    init?: { body?: RequestBody; headers?: Record<string, string>; signal?: AbortSignal },
  ): Promise<Response>
  /** For our own API: JSON in, JSON out; an error becomes a `Complaint`. */
  json<T>(method: string, path: string, body?: unknown): Promise<T>
}

interface Place {
  readonly url: string
  readonly token: string | undefined
}

function namedPlace(named: string, token: string | undefined): Place {
  if (!/^https?:\/\//.test(named) || !URL.canParse(named)) {
    throw new Complaint(`--api (or RIMWARD_API) takes a URL such as http://127.0.0.1:8081; got "${named}".`)
  }
  return { url: named.replace(/\/+$/, ''), token }
}

/** By `--api` or `RIMWARD_API`, else the node on the data folder, else the one that `rimward env` told this shell of. */
function placeOf({ env, folder: here }: Terminal, options: NodeOptions): Place {
  const folder = findDataFolder(here, options.data)
  const own = env.RIMWARD_TOKEN || (existsSync(folder) ? readToken(folder) : undefined)
  const named = options.api ?? env.RIMWARD_API
  if (named !== undefined && named !== '') return namedPlace(named, own)
  const node = existsSync(folder) ? readNodeFile(folder) : undefined
  if (node !== undefined && isClaimed(folder)) return { url: node.addresses.api, token: own }
  const told = /^(https?:\/\/.+)\/client\/v4$/.exec(env.CLOUDFLARE_API_BASE_URL ?? '')?.[1]
  if (told !== undefined) return { url: told, token: env.RIMWARD_TOKEN || env.CLOUDFLARE_API_TOKEN }
  throw new Complaint(
    `No rimward runs on the data folder ${folder}. Start one with "rimward up", or give --data or --api.`,
  )
}

export function findNode(terminal: Terminal, options: NodeOptions): NodeClient {
  const { url, token } = placeOf(terminal, options)
  if (token === undefined)
    throw new Complaint(`There is no token: set RIMWARD_TOKEN, or give --data with the node's folder.`)
  const send: NodeClient['send'] = async (method, path, init) => {
    try {
      return await fetch(`${url}${path}`, {
        ...init,
        method,
        headers: { authorization: `Bearer ${token}`, ...init?.headers },
      })
    } catch (error) {
      if (init?.signal?.aborted) throw error
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined
      throw new Complaint(`No answer from ${url}: ${cause?.code ?? cause?.message ?? (error as Error).message}.`)
    }
  }
  return {
    url,
    token,
    send,
    async json<T>(method: string, path: string, body?: unknown): Promise<T> {
      const answer = await send(
        method,
        path,
        body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } },
      )
      const text = await answer.text()
      if (answer.ok) return (text === '' ? undefined : JSON.parse(text)) as T
      throw new Complaint(problemText(text) ?? `${method} ${url}${path} answered ${answer.status}.`)
    },
  }
}

export function problemText(text: string): string | undefined {
  try {
    const message = (JSON.parse(text) as { error?: { message?: unknown } }).error?.message
    return typeof message === 'string' ? message : undefined
  } catch {
    return undefined
  }
}
