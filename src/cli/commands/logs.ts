/** `rimward logs NAME`: invocations of a program as they happen. */
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { findNode, type NodeOptions, problemText } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import type { Terminal } from '../terminal.ts'

export interface LogLine {
  readonly dropped?: number
  readonly outcome?: string
  readonly eventTimestamp?: number | null
  readonly event?: unknown
  readonly logs?: { message: unknown; level: string }[]
  readonly exceptions?: { name: string; message: string; stack?: string }[]
}

interface HttpEvent {
  readonly request?: { method?: string; url?: string }
  readonly response?: { status?: number }
  readonly cron?: string
  readonly rpcMethod?: string
  /** A line of a Compute program. */
  readonly output?: { readonly requestId?: string }
}

// Programs write what they like: bytes that steer a terminal are shown, not obeyed.
const visible = (text: string): string =>
  text.replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g,
    (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`,
  )

function eventText(event: unknown): string {
  const known = (event ?? {}) as HttpEvent
  if (known.request) return `${known.request.method ?? ''} ${known.request.url ?? ''}`
  if (known.rpcMethod !== undefined) return `RPC ${known.rpcMethod}`
  if (known.cron !== undefined) return `cron ${known.cron}`
  return 'event'
}

const messageText = (message: unknown): string =>
  (Array.isArray(message) ? message : [message])
    .map((one) => (typeof one === 'string' ? one : JSON.stringify(one)))
    .join(' ')

/** One invocation for a person: a heading, then what it wrote and threw, indented. */
export function prettyLog(line: LogLine): string[] {
  if (line.dropped !== undefined) return [`… ${line.dropped} lines were dropped: this reader is too slow`]
  const time = line.eventTimestamp ? new Date(line.eventTimestamp).toISOString().slice(11, 23) : '-'
  const output = (line.event as HttpEvent | null)?.output
  if (output !== undefined)
    return (line.logs ?? []).map(({ level, message }) =>
      visible(`${time} ${output.requestId ?? '-'} (${level}) ${messageText(message)}`),
    )
  const status = (line.event as HttpEvent | null)?.response?.status
  const outcome = [status, line.outcome === 'ok' ? undefined : line.outcome].filter((part) => part !== undefined)
  const heading = `${time} ${eventText(line.event)} → ${outcome.join(' ')}`
  return [
    heading.trimEnd(),
    ...(line.logs ?? []).map((log) => `  (${log.level}) ${messageText(log.message)}`),
    ...(line.exceptions ?? []).map((thrown) => `  ✘ ${exceptionText(thrown)}`),
  ].map(visible)
}

/** workerd's stacks come with and without the line that names the error. */
function exceptionText({ name, message, stack = '' }: { name: string; message: string; stack?: string }): string {
  const title = `${name}: ${message}`
  return stack.startsWith(title) ? stack : [title, stack].filter((part) => part !== '').join('\n')
}

/** Lines of a UTF-8 stream without the empty ones (they keep the connection alive). */
async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const chunk of body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) if (line !== '') yield line
  }
}

async function logs(name: string, flags: NodeOptions & { json?: boolean }, terminal: Terminal): Promise<void> {
  const node = findNode(terminal, flags)
  const answer = await node.send('GET', `/rimward/v1/programs/${encodeURIComponent(name)}/logs`)
  if (!answer.ok || answer.body === null) {
    throw new Complaint(problemText(await answer.text()) ?? `The logs of "${name}" answered ${answer.status}.`)
  }
  if (!flags.json) terminal.err(`Following "${name}"; Ctrl-C ends it.`)
  try {
    for await (const line of linesOf(answer.body)) {
      if (flags.json) terminal.out(line)
      else for (const text of prettyLog(JSON.parse(line) as LogLine)) terminal.out(text)
    }
  } catch (error) {
    throw new Complaint(`The node ended the connection (${(error as Error).message}).`)
  }
  throw new Complaint('The node ended the connection.')
}

export function addLogs(program: Command, terminal: Terminal): void {
  nodeFlags(program.command('logs').argument('<name>').description('follow what a program writes and throws')).action(
    (name: string, flags) => logs(name, flags, terminal),
  )
}
