/** Heads of requests and of their answers, packed: what every request says on the line between node and cell. */
import { PackedHead } from './packed-head.ts'
import type { AnswerHead, RunHead } from './protocol.ts'

const versions: readonly RunHead['client']['httpVersion'][] = ['1.0', '1.1', '2']
const starts: readonly AnswerHead['start'][] = ['cold', 'warm', 'pooled']

/** Texts before the fields. */
const runTexts = 9

export function packRun(head: RunHead): PackedHead {
  const { address, port, serverAddress, httpVersion, tls } = head.client
  const { version = '', cipher = '', serverName } = tls ?? {}
  const hasTls = tls === undefined ? 0 : serverName === undefined ? 1 : 2
  const numbers = [head.run, port, versions.indexOf(httpVersion), hasTls, head.headers.length]
  const texts = [head.program, head.requestId, head.method, head.uri, address, serverAddress]
  texts.push(version, cipher, serverName ?? '')
  for (const text of head.headers) texts.push(text)
  for (const name of head.originalNames) texts.push(name)
  return new PackedHead(numbers, texts)
}

/** What `packRun` packed. */
export function unpackRun({ numbers, texts }: PackedHead): RunHead {
  const [run, port, version, hasTls, fields] = numbers as [number, number, number, number, number]
  const [program, requestId, method, uri, address, serverAddress] = texts as [
    string,
    string,
    string,
    string,
    string,
    string,
  ]
  const client = { address, port, serverAddress, httpVersion: versions[version]! }
  const tls = { version: texts[6]!, cipher: texts[7]!, ...(hasTls === 2 && { serverName: texts[8]! }) }
  return {
    program,
    run,
    requestId,
    method,
    uri,
    headers: texts.slice(runTexts, runTexts + fields),
    client: hasTls === 0 ? client : { ...client, tls },
    originalNames: texts.slice(runTexts + fields),
  }
}

export function packAnswer({ status, headers, start, over }: AnswerHead): PackedHead {
  return new PackedHead([status, starts.indexOf(start), over === true ? 1 : 0], headers)
}

/** What a cell says, which is not trusted. Undefined where it is no answer. Whether its fields are sound the edge decides. */
export function unpackAnswer(packed: PackedHead | undefined): AnswerHead | undefined {
  if (packed === undefined || packed.numbers.length !== 3 || packed.texts.length % 2 !== 0) return undefined
  const [status, started, over] = packed.numbers as [number, number, number]
  const start = starts[started]
  if (status < 100 || status > 999 || start === undefined) return undefined
  const head: AnswerHead = { status, headers: packed.texts as string[], start }
  return over === 1 ? { ...head, over: true } : head
}
