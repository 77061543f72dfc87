/** The backplane's `call`: a request to a program that runs in another engine, from a Worker that binds it. */
import { isIP } from 'node:net'
import { toEdgeError } from '#/core/errors.ts'
import type { Answer, HeaderList } from '#/core/exchange.ts'
import { headerValue } from '#/http/header-list.ts'
import type { BackplaneHandler } from './backplane.ts'
import type { WorkerdEngineOptions } from './engine.ts'

/** On an answer of ours: no program answered, the body says why. The forwarders inside throw it as an `Error`. */
const failedField = 'rimward-failed'

/** The id is the program that is asked. A Worker that passes a client's request on passes its address on too. */
export function callHandler({ callProgram }: Pick<WorkerdEngineOptions, 'callProgram'>): BackplaneHandler {
  return async ({ id, method, url, headers, body, wantsUpgrade, signal }) => {
    const client = headerValue(headers, 'cf-connecting-ip') ?? ''
    const call = { method, url, headers, body, wantsUpgrade, signal, ...(isIP(client) !== 0 && { client }) }
    try {
      const answer = await callProgram(id, call)
      return { ...answer, headers: withoutOurs(answer.headers) }
    } catch (thrown) {
      return failed(toEdgeError(thrown).message)
    }
  }
}

function failed(why: string): Answer {
  const body = Buffer.from(why)
  const headers = [failedField, '1', 'content-type', 'text/plain;charset=UTF-8', 'content-length', String(body.length)]
  return { status: 500, headers, body }
}

function withoutOurs(headers: HeaderList): HeaderList {
  if (headerValue(headers, failedField) === undefined) return headers
  return headers.filter((_, index) => headers[index - (index % 2)]!.toLowerCase() !== failedField)
}
