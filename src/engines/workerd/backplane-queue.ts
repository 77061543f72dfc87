/**
 * The wire protocol of the runtime's own Queues binding (workerd: src/workerd/api/queue.c++): `POST /message` with the body
 * as it is, `POST /batch` with JSON, `GET /metrics`. Troubles travel in two fields, by Cloudflare's numbers.
 */
import { EdgeError } from '#/core/errors.ts'
import type { Answer } from '#/core/exchange.ts'
import type { HomedStores } from '#/core/homed-stores.ts'
import { type MessageType, messageTypes, type QueueMetrics } from '#/core/program-events.ts'
import { queueCalls, type Refusable } from '#/core/queue-calls.ts'
import { type QueueRefusal, queueLimits, type SentMessage } from '#/core/queues.ts'
import { headerValue } from '#/http/header-list.ts'
import type { BackplaneHandler, BackplaneRequest } from './backplane.ts'
import { drainBody } from './drain-body.ts'

/** The id is `QUEUE/DELAY`: that of the queue, and the binding's own delay in seconds, or nothing. */
export function queueHandler({ homed }: { readonly homed: Pick<HomedStores, 'call'> }): BackplaneHandler {
  const calls = queueCalls(homed)
  return async (request) => {
    const [id = '', delay = ''] = request.id.split('/')
    try {
      if (request.method === 'GET') return json(200, shown(await calls.metrics(id)))
      const sent = await readSent(request)
      if ('refused' in sent) return refused(sent.refused)
      const answer = await calls.send(id, sent.messages, sent.delayS ?? (delay === '' ? undefined : Number(delay)))
      if (answer.refused !== undefined) return refused(answer.refused)
      return json(200, { metadata: { metrics: shown(answer.metrics) } })
    } catch (error) {
      if (!(error instanceof EdgeError)) throw error
      if (error.code === 'store_unknown') return refused({ status: 404, code: 10104, message: 'Queue does not exist' })
      return refused({ status: error.row.status, code: 15000, message: error.message })
    }
  }
}

type Sent = { readonly messages: readonly SentMessage[]; readonly delayS?: number }

async function readSent(request: BackplaneRequest): Promise<Refusable<Sent>> {
  const delay = headerValue(request.headers, 'x-msg-delay-secs')
  const delayS = delay === undefined ? {} : { delayS: Number(delay) }
  // JSON in base64 of what may be sent, with something on top.
  const { whole: body } = await drainBody(request, queueLimits.batchBytes * 2)
  if (body === undefined) return tooLarge()
  if (request.url === '/batch') return readBatch(body, delayS)
  const type = (headerValue(request.headers, 'x-msg-fmt') ?? 'v8') as MessageType
  if (!messageTypes.includes(type)) return badType(type)
  return { messages: [{ type, body, ...delayS }] }
}

function readBatch(body: Buffer, delayS: { readonly delayS?: number }): Refusable<Sent> {
  const { messages } = JSON.parse(body.toString()) as {
    messages: { body: string; contentType?: MessageType; delaySecs?: number }[]
  }
  const wrong = messages.find(({ contentType = 'v8' }) => !messageTypes.includes(contentType))
  if (wrong !== undefined) return badType(wrong.contentType!)
  return {
    ...delayS,
    messages: messages.map(({ body: text, contentType: type = 'v8', delaySecs }) => ({
      ...{ type, body: Buffer.from(text, 'base64') },
      ...(delaySecs !== undefined && { delayS: delaySecs }),
    })),
  }
}

const badType = (type: string) => ({
  refused: { status: 400, code: 10203, message: `message content type ${type} is invalid` } as const,
})
const tooLarge = () => ({
  refused: { status: 413, code: 10205, message: `batch size exceeds limit of ${queueLimits.batchBytes}` } as const,
})

/** 0 says that there is no message. */
function shown({ backlogCount, backlogBytes, oldestMessageTimestamp = 0 }: QueueMetrics): object {
  return { backlogCount, backlogBytes, oldestMessageTimestamp }
}

function json(status: number, value: object, headers: readonly string[] = []): Answer {
  const body = Buffer.from(JSON.stringify(value))
  return {
    status,
    headers: ['content-type', 'application/json', 'content-length', String(body.length), ...headers],
    body,
  }
}

function refused({ status, code, message }: Omit<QueueRefusal, 'status'> & { readonly status: number }): Answer {
  const fields = ['CF-Queues-Error-Code', String(code), 'CF-Queues-Error-Cause', message.replace(/[^\x20-\x7e]/g, '?')]
  return json(status, { error: message }, fields)
}
