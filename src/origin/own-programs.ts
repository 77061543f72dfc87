/**
 * Backends of Compute programs that name a site of this platform: its program answers them without a connection. In front
 * of the pools, behind the shared cache.
 */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, EgressRequest, Engine, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program } from '#/core/snapshot.ts'
import { parseDestination } from './destination.ts'
import { countHops, fieldOf, toOriginFields } from './header-fields.ts'

export interface OwnProgramsOptions {
  /** The program that answers a host of this platform; `host` is lower case without port. */
  readonly programAt: (
    host: string,
    path: string,
  ) => { readonly program: Program; readonly deployment: Deployment } | undefined
  readonly engine: () => Pick<Engine, 'run'>
  readonly limits: Limits
}

/** Only backends that a service's owner configured: what a program fetches by an address of its own is for the egress to judge. */
export function withOwnPrograms(next: Egress, options: OwnProgramsOptions): Egress {
  return {
    async fetch(request) {
      if (!('program' in request.by) || request.pool === undefined) return next.fetch(request)
      const { host, path, scheme } = parseDestination(request.url)
      const found = options.programAt(host, path)
      if (found === undefined) return next.fetch(request)
      if (countHops(request.headers) >= options.limits.egressHops)
        throw new EdgeError(
          'program_loop',
          `The request goes round in a circle: ${options.limits.egressHops} programs.`,
        )
      const { program, deployment } = found
      return options.engine().run(program, deployment, asClient(request, { scheme, path, host }))
    },
    close: () => next.close(),
  }
}

function asClient(
  request: EgressRequest,
  { scheme, path, host }: { readonly scheme: 'http' | 'https'; readonly path: string; readonly host: string },
): ProgramRequest {
  const { method, body, wantsUpgrade, signal, onInformational } = request
  const authority = fieldOf(request.headers, 'host') ?? host
  const sent = toOriginFields(request.headers, authority, body instanceof Readable)
  const headers = withoutHost(sent)
  const client = request.client ?? '127.0.0.1'
  headers.push('cf-connecting-ip', client)
  return {
    ...{ method, scheme, authority, path, headers, wantsUpgrade, signal },
    body: body instanceof Uint8Array ? (body.length === 0 ? null : Readable.from([body])) : body,
    cf: '{}',
    id: randomBytes(8).toString('hex'),
    client: { address: client, port: 0 },
    serverAddress: '127.0.0.1',
    httpVersion: '1.1',
    received: sent,
    ...(onInformational && { onInformational }),
  }
}

function withoutHost(headers: HeaderList): HeaderList {
  return headers.filter((_, index) => headers[index - (index % 2)]!.toLowerCase() !== 'host')
}
