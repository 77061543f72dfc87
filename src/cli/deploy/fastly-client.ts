/** Calls of Fastly's API as the `fastly` CLI makes them, for `rimward deploy`. */
import { Complaint } from '../complaint.ts'
import type { NodeClient, RequestBody } from '../find-node.ts'

export interface FastlyClient {
  /** Throws a `Complaint` with what the API says. */
  call<T>(method: string, path: string, body?: FastlyBody): Promise<T>
  /** Like `call`; `undefined` when the answer is 404. */
  find<T>(path: string): Promise<T | undefined>
}

export interface FastlyBody {
  readonly form?: Readonly<Record<string, string>>
  readonly json?: unknown
  readonly bytes?: Uint8Array
  readonly headers?: Record<string, string>
}

export function createFastlyClient(node: NodeClient): FastlyClient {
  const send = (method: string, path: string, { form, json, bytes, headers = {} }: FastlyBody): Promise<Response> => {
    const body = form === undefined ? (json === undefined ? bytes : JSON.stringify(json)) : new URLSearchParams(form)
    return node.send(method, path, {
      headers: { ...(json !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: body as RequestBody }),
    })
  }
  return {
    async call<T>(method: string, path: string, body: FastlyBody = {}) {
      return readAnswer<T>(`${method} ${path}`, await send(method, path, body))
    },
    async find<T>(path: string) {
      const answer = await send('GET', path, {})
      if (answer.status !== 404) return readAnswer<T>(`GET ${path}`, answer)
      await answer.body?.cancel()
      return undefined
    },
  }
}

async function readAnswer<T>(what: string, answer: Response): Promise<T> {
  const text = await answer.text()
  if (!answer.ok) throw new Complaint(detailOf(text) ?? `${what} answered ${answer.status}.`)
  try {
    return JSON.parse(text === '' ? '{}' : text) as T
  } catch {
    throw new Complaint(`${what} answered with no JSON: ${text.slice(0, 100)}`)
  }
}

function detailOf(text: string): string | undefined {
  try {
    const { detail } = JSON.parse(text) as { detail?: unknown }
    return typeof detail === 'string' ? detail : undefined
  } catch {
    return undefined
  }
}
