/** Calls of Cloudflare's API as wrangler makes them, for `rimward deploy`. */
import { Complaint } from '../complaint.ts'
import type { NodeClient, RequestBody } from '../find-node.ts'

export interface CallBody {
  readonly json?: unknown
  readonly form?: FormData
  readonly bytes?: Uint8Array
  readonly type?: string
  /** Instead of the administrator's. */
  readonly token?: string
}

interface Envelope<T> {
  readonly success: boolean
  readonly result: T
  readonly errors?: { readonly code: number; readonly message: string }[]
}

export class ApiComplaint extends Complaint {
  readonly codes: readonly number[]

  constructor(message: string, codes: readonly number[]) {
    super(message)
    this.codes = codes
  }
}

export interface CloudflareClient {
  /** `path` is below the account. Returns the envelope's result; throws an `ApiComplaint` with message and code. */
  call<T>(method: string, path: string, body?: CallBody): Promise<T>
  /** Like `call`; `undefined` when the answer is 404. */
  find<T>(path: string): Promise<T | undefined>
}

async function readEnvelope<T>(what: string, answer: Response): Promise<T> {
  const text = await answer.text()
  let envelope: Partial<Envelope<T>>
  try {
    envelope = JSON.parse(text) as Envelope<T>
  } catch {
    if (answer.ok && text === '') return undefined as T
    throw new Complaint(`${what} answered ${answer.status} and no JSON: ${text.slice(0, 100)}`)
  }
  if (envelope.success) return envelope.result as T
  const errors = envelope.errors ?? []
  const message = errors.map((error) => `${error.message} [code: ${error.code}]`).join('\n  ')
  throw new ApiComplaint(
    message === '' ? `${what} answered ${answer.status}.` : message,
    errors.map((error) => error.code),
  )
}

async function accountOf(node: NodeClient): Promise<string> {
  const accounts = await readEnvelope<{ id: string }[]>('GET /accounts', await node.send('GET', '/client/v4/accounts'))
  if (accounts[0] === undefined) throw new Complaint(`${node.url} names no account.`)
  return accounts[0].id
}

export async function createCloudflareClient(node: NodeClient): Promise<CloudflareClient> {
  const base = `/client/v4/accounts/${await accountOf(node)}`
  const send = (method: string, path: string, body: CallBody): Promise<Response> => {
    const headers: Record<string, string> = {}
    if (body.json !== undefined) headers['content-type'] = 'application/json'
    if (body.type !== undefined) headers['content-type'] = body.type
    if (body.token !== undefined) headers.authorization = `Bearer ${body.token}`
    const content = body.json !== undefined ? JSON.stringify(body.json) : (body.form ?? body.bytes)
    return node.send(method, `${base}${path}`, {
      headers,
      ...(content !== undefined && { body: content as RequestBody }),
    })
  }
  return {
    async call<T>(method: string, path: string, body: CallBody = {}) {
      return readEnvelope<T>(`${method} ${path}`, await send(method, path, body))
    },
    async find<T>(path: string) {
      const answer = await send('GET', path, {})
      if (answer.status === 404) {
        await answer.body?.cancel()
        return undefined
      }
      return readEnvelope<T>(`GET ${path}`, answer)
    },
  }
}
