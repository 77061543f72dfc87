/** Request bodies: forms as the CLI sends them, or JSON objects. */
import type { Context } from 'hono'
import { badRequest, FastlyError } from './errors.ts'

export type Form = Readonly<Record<string, string>>

/** Values as text, whatever the body's type; JSON `null` is the empty text. Throws a `FastlyError`. */
export async function readForm(c: Context, limitBytes: number): Promise<Form> {
  const text = await readText(c, limitBytes)
  if (!(c.req.header('content-type') ?? '').includes('json')) return Object.fromEntries(new URLSearchParams(text))
  const body = parseJson(text)
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw badRequest('The body is no JSON object.')
  const form: Record<string, string> = {}
  for (const [name, value] of Object.entries(body)) {
    if (typeof value === 'object' && value !== null) throw badRequest(`Field '${name}' is not a simple value.`)
    form[name] = value === null ? '' : typeof value === 'boolean' ? (value ? '1' : '0') : String(value)
  }
  return form
}

/** `undefined` for an empty body. Throws a `FastlyError`. */
export async function readJson(c: Context, limitBytes: number): Promise<unknown> {
  const text = await readText(c, limitBytes)
  return text.trim() === '' ? undefined : parseJson(text)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw badRequest('The body is not JSON.')
  }
}

async function readText(c: Context, limitBytes: number): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of c.req.raw.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > limitBytes)
      throw new FastlyError(413, 'Request entity too large', `The body is larger than ${limitBytes} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}
