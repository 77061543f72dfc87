/**
 * What `PUT …/values/KEY` carries: a raw value, or a multipart form with `value` and `metadata`. Read byte for byte: a form
 * field without a file name may be binary too (curl's `-F value=<file`), where a form parser would make text of it.
 */
import type { HonoRequest } from 'hono'
import { VendorError } from './envelope.ts'

export interface KvBody {
  readonly value: Uint8Array
  /** Serialized JSON. */
  readonly metadata?: string
}

/** Beside value and metadata: boundaries and headers of the parts. */
const formOverheadBytes = 64 * 1024

/** Throws a `VendorError` (413 beyond the limit, 400 for a form that is cut short or names unknown fields). */
export async function readKvBody(
  request: HonoRequest,
  limits: { readonly kvValueBytes: number; readonly kvMetadataBytes: number },
): Promise<KvBody> {
  const boundary = /^multipart\/form-data\b.*;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i.exec(
    request.header('content-type') ?? '',
  )
  const tooLarge = `put: 'Value length exceeds limit of ${limits.kvValueBytes}.'`
  if (boundary === null) return { value: await readCapped(request, limits.kvValueBytes, tooLarge) }
  const form = await readCapped(request, limits.kvValueBytes + limits.kvMetadataBytes + formOverheadBytes, tooLarge)
  const fields = new Map<string, Buffer>()
  for (const { name, content } of parseForm(form, boundary[1] ?? boundary[2]!)) {
    if (name !== 'value' && name !== 'metadata') throw malformed(`the field "${name}" is unknown`)
    if (fields.has(name)) throw malformed(`the field "${name}" is there twice`)
    fields.set(name, content)
  }
  const value = fields.get('value')
  if (value === undefined) throw malformed('the field "value" is missing')
  const metadata = fields.get('metadata')?.toString()
  return metadata === undefined ? { value } : { value, metadata }
}

/** The whole body, never more than `limit` bytes of it in memory. */
export async function readCapped(request: HonoRequest, limit: number, tooLarge: string): Promise<Buffer> {
  if (Number(request.header('content-length') ?? 0) > limit) throw new VendorError(413, 10033, tooLarge)
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of (request.raw.body ?? []) as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength
    if (bytes > limit) throw new VendorError(413, 10033, tooLarge)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** RFC 2046 §5.1.1 as RFC 7578 narrows it: no preamble, one `Content-Disposition` with a name for each part. */
export function* parseForm(form: Buffer, boundary: string): Generator<{ name: string; content: Buffer }> {
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  const start = delimiter.subarray(2)
  if (!form.subarray(0, start.length).equals(start)) throw malformed('its boundary does not begin it')
  let at = start.length
  while (form.toString('latin1', at, at + 2) !== '--') {
    const headEnd = form.indexOf('\r\n\r\n', at)
    const end = headEnd < 0 ? -1 : form.indexOf(delimiter, headEnd + 4)
    if (end < 0) throw malformed('it is cut short')
    const name = /^content-disposition:.*?[;\s]name="((?:[^"\\]|\\.)*)"/im.exec(form.toString('utf8', at, headEnd))
    if (name === null) throw malformed('a part has no name')
    yield { name: name[1]!, content: form.subarray(headEnd + 4, end) }
    at = end + delimiter.length
  }
}

function malformed(why: string): VendorError {
  return new VendorError(400, 10033, `put: 'The multipart form is malformed: ${why}.'`)
}
