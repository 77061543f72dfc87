/** The caller's half: one call, or one tunnel, over a link that stands. */
import { type ClientHttp2Session, type ClientHttp2Stream, constants } from 'node:http2'
import type { Duplex } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { MeshAnswer, MeshHead, MeshRequest } from '#/core/mesh.ts'
import type { NodeId } from '#/core/pops.ts'
import { answerBody, tunnelEnd } from './byte-stream.ts'
import { packHead } from './head-frame.ts'
import { brokeOff, receive } from './receive.ts'
import { frameFor, sendBody, streams } from './send-body.ts'

export interface CallOver {
  readonly session: ClientHttp2Session
  readonly node: NodeId
  readonly limits: Pick<Limits, 'meshHeadBytes'>
  /** Called once, when the call is over or could not begin. */
  readonly done: () => void
}

/** Rejects with what the other side threw, with `peer_away`, or with the signal's reason. */
export async function askOver(link: CallOver, path: string, request: MeshRequest): Promise<MeshAnswer> {
  const { signal, body } = request
  const { stream, frame } = begin(link, path, request, { tunnel: false })
  const answer = answerBody(stream)
  return new Promise((resolve, reject) => {
    receive(stream, answer, {
      other: link.node,
      leaves: () => link.session.closed,
      headBytes: link.limits.meshHeadBytes,
      onHead: (answered) => resolve({ head: answered, body: answer }),
      onFailure: reject,
    })
    if (signal !== undefined) giveUpOn(signal, stream, answer, reject)
    sendBody(stream, frame, body)
  })
}

function giveUpOn(
  signal: AbortSignal,
  stream: ClientHttp2Stream,
  answer: MeshAnswer['body'],
  reject: (reason: unknown) => void,
): void {
  const giveUp = () => {
    reject(signal.reason)
    answer.destroy(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason)))
    stream.close(constants.NGHTTP2_CANCEL)
  }
  signal.addEventListener('abort', giveUp, { once: true })
  stream.once('close', () => signal.removeEventListener('abort', giveUp))
}

export async function tunnelOver(link: CallOver, path: string, head: MeshHead): Promise<Duplex> {
  const { stream, frame } = begin(link, path, { head }, { tunnel: true })
  const tunnel = tunnelEnd(stream, link.node, () => {})
  return new Promise<Duplex>((resolve, reject: (failure: EdgeError) => void) => {
    receive(stream, tunnel, {
      other: link.node,
      leaves: () => link.session.closed,
      headBytes: link.limits.meshHeadBytes,
      onHead: () => resolve(tunnel),
      onFailure: reject,
    })
    stream.write(frame)
  })
}

function begin(
  link: CallOver,
  path: string,
  { head = {}, body, signal }: MeshRequest,
  { tunnel }: { tunnel: boolean },
) {
  const { session, node, limits, done } = link
  try {
    signal?.throwIfAborted()
    const frame = tunnel ? packHead(head, limits.meshHeadBytes) : frameFor(head, body, limits.meshHeadBytes)
    const options = { endStream: false, waitForTrailers: tunnel || streams(body) }
    const stream = session.request({ ':method': 'POST', ':path': path }, options)
    stream.once('close', done)
    return { stream, frame }
  } catch (error) {
    done()
    if (streams(body)) body.destroy()
    if (error instanceof EdgeError || error === signal?.reason) throw error
    throw Object.assign(brokeOff(node), { cause: error })
  }
}
