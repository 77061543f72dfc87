/** The small bodies of the backplane's requests, which are most: waiting for them piece by piece costs more than they do. */
import type { IncomingMessage } from 'node:http'
import { EdgeError } from '#/core/errors.ts'
import { headerValue } from '#/http/header-list.ts'
import type { BackplaneRequest } from './backplane.ts'

/** Bytes; every caller takes as many. */
const most = 64 * 1024

/**
 * A body that is announced to be small, whole; any other one as it is. Rejects with `client_gone` where less comes than was
 * announced.
 */
export function smallBody({
  body,
  headers,
}: Pick<BackplaneRequest, 'body' | 'headers'>): Promise<Buffer> | IncomingMessage | null {
  const announced = headerValue(headers, 'content-length')
  return body === null || announced === undefined || Number(announced) > most ? body : gather(body)
}

function gather(body: IncomingMessage): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const parts: Buffer[] = []
  const gone = (cause?: unknown) =>
    reject(new EdgeError('client_gone', 'The program ended before it had sent what it announced.', { cause }))
  body.on('data', (part: Buffer) => parts.push(part))
  body.on('end', () => resolve(Buffer.concat(parts)))
  body.on('error', gone)
  body.on('close', gone)
  if (body.destroyed) gone()
  return promise
}
