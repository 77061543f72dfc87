/**
 * Requests from program to program without a connection: backends of Compute programs that name a site of this platform,
 * in front of the pools and behind the shared cache; and Workers that bind a Compute program.
 */
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { EdgeError } from '#/core/errors.ts'
import type { HeaderList } from '#/core/exchange.ts'
import type { Limits } from '#/core/limits.ts'
import type { Egress, Engine, ProgramAnswer, ProgramCall, ProgramRequest } from '#/core/ports.ts'
import type { Deployment, Program, ProgramName } from '#/core/snapshot.ts'
import { countHops } from '#/http/cdn-loop.ts'
import { type Destination, parseDestination } from './destination.ts'
import { fieldOf, toOriginFields } from './header-fields.ts'

interface Chosen {
  readonly program: Program
  readonly deployment: Deployment
}

interface CallParts {
  readonly engine: () => Pick<Engine, 'run'>
  readonly limits: Limits
}

export interface OwnProgramsOptions extends CallParts {
  /** The program that answers a host of this platform; `host` is lower case without port. */
  readonly programAt: (host: string, path: string) => Chosen | undefined
}

/** Only backends that a service's owner configured: what a program fetches by an address of its own is for the egress to judge. */
export function withOwnPrograms(next: Egress, options: OwnProgramsOptions): Egress {
  return {
    async fetch(request) {
      if (!('program' in request.by) || request.pool === undefined) return next.fetch(request)
      const destination = parseDestination(request.url)
      const found = options.programAt(destination.host, destination.path)
      if (found === undefined) return next.fetch(request)
      return call(found, request, { ...destination, authority: destination.host }, options)
    },
    close: () => next.close(),
  }
}

/** Health checks of backends that name a site of this platform ask its program. `isProgram`: is the checked site one? */
export function withOwnProbes(
  next: Pick<Egress, 'fetch'>,
  options: OwnProgramsOptions & { readonly isProgram: (site: string) => boolean },
): Pick<Egress, 'fetch'> {
  return {
    async fetch(request) {
      if (!('site' in request.by) || !options.isProgram(request.by.site)) return next.fetch(request)
      const destination = parseDestination(request.url)
      const found = options.programAt(destination.host, destination.path)
      if (found === undefined) return next.fetch(request)
      return call(found, request, { ...destination, authority: destination.host }, options)
    },
  }
}

/**
 * Programs asked by their names, for service bindings. Rejects like `Engine.run`, or with `not_found`, `program_loop` or
 * `egress_refused` (not a URL).
 */
export function createProgramCalls({
  chosen,
  ...parts
}: CallParts & { readonly chosen: (name: ProgramName) => Chosen | undefined }) {
  return async (name: ProgramName, request: ProgramCall): Promise<ProgramAnswer> => {
    const found = chosen(name)
    if (found === undefined) throw new EdgeError('not_found', `There is no program ${name}.`)
    return call(found, request, parseDestination(request.url), parts)
  }
}

type Asked = Pick<Destination, 'scheme' | 'path' | 'authority'>

function call({ program, deployment }: Chosen, request: ProgramCall, asked: Asked, { engine, limits }: CallParts) {
  if (countHops(request.headers) >= limits.egressHops)
    throw new EdgeError('program_loop', `The request goes round in a circle: ${limits.egressHops} programs.`)
  return engine().run(program, deployment, asClient(request, asked))
}

function asClient(request: ProgramCall, { scheme, path, authority: named }: Asked): ProgramRequest {
  const { method, body, wantsUpgrade, signal, onInformational } = request
  const authority = fieldOf(request.headers, 'host') ?? named
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
