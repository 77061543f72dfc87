/**
 * multipart/form-data (RFC 7578, RFC 2046 §5.1) as a stream of parts: strict, and with memory that does not grow with the
 * body. Whoever iterates must read each part's body to its end before asking for the next part.
 */
import { doorError } from './errors.ts'

export interface Part {
  readonly name: string
  readonly filename: string | undefined
  /** Lower case, without parameters; empty when there is none. */
  readonly type: string
  readonly body: AsyncIterable<Uint8Array>
}

const headerBytes = 16 * 1024

/** The boundary named by a Content-Type; throws a `VendorError` when it is not multipart/form-data with one. */
export function boundaryOf(contentType: string | undefined): string {
  const match = /^multipart\/form-data\s*;(?:.*;)?\s*boundary=(?:"([^"\r\n]{1,70})"|([^\s;"]{1,70}))\s*(?:;|$)/i.exec(
    contentType ?? '',
  )
  const boundary = match?.[1] ?? match?.[2]
  if (boundary === undefined) throw doorError('badMultipart', 'The body must be multipart/form-data with a boundary.')
  return boundary
}

/** Throws a `VendorError` that says where the body breaks off or goes wrong. */
export async function* readMultipart(body: AsyncIterable<Uint8Array>, boundary: string): AsyncGenerator<Part> {
  const source = body[Symbol.asyncIterator]()
  const delimiter = Buffer.from(`\r\n--${boundary}`)
  // The first delimiter has no line break before it; with one put in front all delimiters look alike.
  let held: Buffer = Buffer.from('\r\n')
  let where = 'before the first part'

  const broken = (what: string) => doorError('badMultipart', `The multipart body ${what} ${where}.`)

  const more = async () => {
    const next = await source.next().catch((error: unknown) => {
      throw new Error('the client went away', { cause: error })
    })
    if (next.done === true) throw broken('ends')
    held = held.length === 0 ? Buffer.from(next.value) : Buffer.concat([held, next.value])
  }

  /** Bytes up to the next delimiter; they and the delimiter are consumed. */
  async function* content(): AsyncGenerator<Uint8Array> {
    while (true) {
      const at = held.indexOf(delimiter)
      const safe = at >= 0 ? at : Math.max(0, held.length - delimiter.length + 1)
      if (safe > 0) yield held.subarray(0, safe)
      held = held.subarray(at >= 0 ? at + delimiter.length : safe)
      if (at >= 0) return
      await more()
    }
  }

  for await (const preamble of content()) if (preamble.length > 0) throw broken('has something other than a delimiter')
  for (let index = 1; ; index += 1) {
    while (held.length < 2) await more()
    const mark = held.toString('latin1', 0, 2)
    held = held.subarray(2)
    if (mark === '--') return
    if (mark !== '\r\n') throw broken('has a delimiter that is not followed by a line break')
    where = `in the header of part ${index}`
    let end = held.indexOf('\r\n\r\n')
    while (end < 0) {
      if (held.length > headerBytes) throw broken(`has more than ${headerBytes} bytes`)
      await more()
      end = held.indexOf('\r\n\r\n')
    }
    const head = readHead(held.toString('utf8', 0, end))
    if (head === undefined) throw broken('has no form-data name')
    held = held.subarray(end + 4)
    where = `in part '${head.name.slice(0, 100)}'`
    let over = false
    const read = async function* () {
      yield* content()
      over = true
    }
    yield { ...head, body: read() }
    if (!over) throw new Error(`part '${head.name}' was not read to its end`)
    where = `after part '${head.name.slice(0, 100)}'`
  }
}

function readHead(text: string): Omit<Part, 'body'> | undefined {
  const fields = new Map<string, string>()
  for (const line of text.split('\r\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) return undefined
    fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  const disposition = fields.get('content-disposition') ?? ''
  if (!/^form-data\s*;/i.test(disposition)) return undefined
  const name = parameter(disposition, 'name')
  if (name === undefined || name === '') return undefined
  const type = (fields.get('content-type') ?? '').split(';')[0]!.trim().toLowerCase()
  return { name, filename: parameter(disposition, 'filename'), type }
}

/** Browsers and undici escape only these three (https://html.spec.whatwg.org/#multipart-form-data). */
function parameter(disposition: string, name: string): string | undefined {
  const match = new RegExp(`;\\s*${name}=(?:"([^"]*)"|([^\\s;"]+))`, 'i').exec(disposition)
  const raw = match?.[1] ?? match?.[2]
  return raw?.replaceAll('%22', '"').replaceAll(/%0D/gi, '\r').replaceAll(/%0A/gi, '\n')
}
