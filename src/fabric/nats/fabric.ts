/**
 * The fabric on NATS: buckets, leases and blobs in JetStream, messages beside it. Where a record may lie decides which
 * stream it is in.
 */
import { randomBytes } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import { createListeners, type Listeners } from '#/core/listeners.ts'
import { allows, type CountryCode, type Within } from '#/core/pops.ts'
import type { Bucket, Change, Fabric } from '#/core/ports.ts'
import type { Clock, Milliseconds } from '#/core/units.ts'
import { createTurns } from '../sqlite/turns.ts'
import { type ApiAnswer, apiErrors } from './answers.ts'
import { describeStreams, type StreamPlace } from './audit.ts'
import { createBlobs } from './blobs.ts'
import { createStoredBucket, keyOf, type StoredBucket, toEntry } from './bucket.ts'
import { connectToNats, isRefusedSubject, type NatsServers } from './connect.ts'
import { type Follower, follow } from './consume.ts'
import { createLeases } from './leases.ts'
import { createLine, type Line } from './line.ts'
import { isLive, readHead, type StoredMessage } from './message.ts'
import { createMessages } from './messages.ts'
import { createNames, fromToken, type Names, type SubjectRoot } from './names.ts'
import { createParts, type Parts } from './parts.ts'
import { createPlacements, type Placements } from './placements.ts'
import { createStreams, type Streams } from './streams.ts'
import { createSweeper } from './sweep.ts'

export interface NatsFabricOptions extends NatsServers {
  /** Keeps several platforms on one account of NATS apart: letters, digits, `-`, `_`. */
  readonly platform?: string
  /** Of this node: what may not lie here is not asked for. */
  readonly country?: CountryCode
  /** Copies of each stream: by default three where there are three servers, else one. */
  readonly replicas?: 1 | 3
  /** The operator's word that all servers lie in these countries, where no tags prove it: a single server above all. */
  readonly serversWithin?: Within
  readonly clock: Clock
  /** Grows at the pace of time, whatever is done to the clock; for leases. */
  readonly elapsed?: () => Milliseconds
  readonly limits: Limits
  /** Hears what listeners throw and what could not be tidied up; a process warning by default. */
  readonly report?: (error: unknown) => void
}

export interface NatsFabric extends Fabric {
  /** What lies in which stream on which servers, read from the streams themselves. */
  streams(): Promise<readonly StreamPlace[]>
  /** Makes the stream for what lies within these countries, before anybody needs it. */
  place(within: Within): Promise<void>
  /** Removes what nobody needs any more, as this node does now and then. */
  sweep(): Promise<void>
  /** The one in use. */
  readonly server: { readonly name: string; readonly version: string; readonly cluster?: string }
}

/**
 * Rejects within seconds with `fabric_away` (out of reach, refused credentials, no JetStream, too old), `bad_request` (an
 * address, a file, a stream that is not ours) or `not_here` (missing rights); nothing is left open then.
 */
export async function openNatsFabric(options: NatsFabricOptions): Promise<NatsFabric> {
  const { limits, replicas, serversWithin, platform = 'rimward', report = warn } = options
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(platform))
    throw new EdgeError('bad_request', `«${platform}» is no name for a platform: letters, digits, «-» and «_».`)
  const names = createNames(platform)
  const { connection, elsewhere, inboxPrefix, named } = await connectToNats(options, limits)
  const api = await findApi(connection, platform, named).catch(async (error) => {
    await connection.close()
    throw error
  })
  const id = randomBytes(9).toString('base64url')
  const sign = { stream: names.stream, subject: `${names.signs}.${id}` }
  const line = createLine({ connection, elsewhere, inboxPrefix, api, id, sign, limits, report })
  try {
    const streams = createStreams({
      line,
      names,
      limits,
      report,
      ...(replicas && { replicas }),
      ...(serversWithin && { serversWithin }),
    })
    await streams.ensureCommon()
    return assemble({ ...options, line, names, streams, report })
  } catch (error) {
    await line.close()
    throw error
  }
}

/**
 * Where JetStream is asked: its own subjects, or, through a leaf node, those of the domain that has the platform's name. A leaf
 * node has no JetStream of its own and hands on what is asked of a domain.
 */
async function findApi(connection: NatsConnection, platform: string, named: string): Promise<string> {
  const plain = '$JS.API'
  const ofDomain = `$JS.${platform}.API`
  for (const api of connection.info?.jetstream ? [plain] : [ofDomain, plain])
    if (await isAnswered(connection, api)) return api
  throw new EdgeError('fabric_away', `NATS at ${named} runs without JetStream (\`jetstream {}\` in its configuration).`)
}

/** No leader yet, or missing rights, are for the first real question to say. */
async function isAnswered(connection: NatsConnection, api: string): Promise<boolean> {
  try {
    const answer = (await connection.request(`${api}.INFO`, '', { timeout: 2000 })).json<ApiAnswer>()
    return !apiErrors.jetStreamOff.some((code) => code === answer.error?.err_code)
  } catch (error) {
    return connection.info?.jetstream === true && !isRefusedSubject(error)
  }
}

interface Parted extends NatsFabricOptions {
  readonly line: Line
  readonly names: Names
  readonly streams: Streams
  readonly report: (error: unknown) => void
}

interface Watched {
  readonly bucket: string
  readonly sequence: number
  readonly change: Change
}

function assemble(options: Parted): NatsFabric {
  const { line, names, clock, limits, report, elapsed = () => performance.now() } = options
  const turns = createTurns()
  const placements = createPlacements(line, names)
  const watches = createWatches(options)
  const pending = new Set<Promise<unknown>>()
  const stateListeners = createListeners<'here' | 'away'>(report)
  const lease = createLeases({ stream: names.stream, root: names.leases, line, turns, elapsed, limits })
  const sweepLease = () => lease('fabric-sweep', limits.natsSweepMs)
  const sweeper = createSweeper({ line, names, clock, limits, report, lease: sweepLease })
  const blobParts = createParts(line, names.blobStream, names.blobs.parts, limits)
  const blobs = createBlobs({ stream: names.blobStream, root: names.blobs, line, parts: blobParts, clock, limits })
  let closing: Promise<void> | undefined
  line.onState((state) => stateListeners.tell(() => true, state))

  /** Refuses once the fabric closes, which waits for what was asked for before. */
  function run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (closing !== undefined) return Promise.reject(new EdgeError('fabric_away', 'The fabric is closed.'))
    const running = work()
    pending.add(running)
    const forget = () => pending.delete(running)
    running.then(forget, forget)
    return running
  }

  async function close(): Promise<void> {
    await Promise.allSettled(pending)
    sweeper.close()
    watches.close()
    await line.close()
  }

  return {
    blobs: {
      ...blobs,
      put: (source) => run(() => blobs.put(source)),
      delete: (hash, when) => run(() => blobs.delete(hash, when)),
    },
    bucket: (name, { within } = {}) => createBucket({ ...options, name, within, placements, turns, watches, run }),
    ...createMessages({ root: names.messages, line, listeners: createListeners(report), limits, report }),
    lease: (name, ttl) => run(() => lease(name, ttl)),
    get state() {
      return line.state
    },
    onState: (listener) => stateListeners.add('', listener),
    place: (within) => run(() => options.streams.ensurePlaced(within)),
    streams: () => describeStreams(line, names),
    sweep: () => sweeper.sweep(),
    get server() {
      return serverOf(line)
    },
    close() {
      closing ??= close()
      return closing
    },
  }
}

function serverOf({ connection }: Line): NatsFabric['server'] {
  const { server_name: name = '', version = '', cluster } = connection.info ?? {}
  return cluster === undefined ? { name, version } : { name, version, cluster }
}

interface BucketParts extends Parted {
  readonly name: string
  readonly within: Within | undefined
  readonly placements: Placements
  readonly turns: ReturnType<typeof createTurns>
  readonly watches: Watches
  readonly run: <Result>(work: () => Promise<Result>) => Promise<Result>
}

function createBucket(options: BucketParts): Bucket {
  const { name, within, country, line, names, streams, limits, clock, turns, placements, watches, run, report } =
    options
  const stream = within === undefined ? names.stream : names.placedStream(within)
  const root = within === undefined ? names.anywhere : names.placed(within)
  const parts = createParts(line, stream, root.parts, limits)
  const stored = createStoredBucket({ name, stream, root, line, parts, turns, clock, limits })

  /** Refuses what may not lie here, before anything is asked. */
  async function ready(): Promise<StoredBucket> {
    if (name === '' || !name.isWellFormed()) throw new EdgeError('bad_request', `«${name}» is no name for a bucket.`)
    if (within?.length === 0) throw new EdgeError('bad_request', `The bucket ${name} may lie in no country.`)
    if (country !== undefined && !allows(within, country))
      throw new EdgeError('not_here', `The bucket ${name} lies within ${within!.join(', ')}; this is ${country}.`)
    await placements.check(name, within)
    if (within !== undefined) await streams.ensurePlaced(within)
    return stored
  }

  return {
    get: async (key) => (await ready()).get(key),
    list: async (wish) => (await ready()).list(wish),
    async *all(how) {
      yield* (await ready()).all(how)
    },
    put(key, bytes, how) {
      // Taken before anything is waited for: the caller may go on writing into its bytes.
      const value = new Uint8Array(bytes)
      return run(async () => (await ready()).put(key, value, how))
    },
    delete: (key, how) => run(async () => (await ready()).delete(key, how)),
    watch(prefix, listener) {
      if (within === undefined) return watches.add({ stream, root, parts, bucket: name, prefix, listener })
      let end: (() => void) | undefined
      let ended = false
      ready()
        .then(() => {
          if (!ended) end = watches.add({ stream, root, parts, bucket: name, prefix, listener })
        })
        .catch(report)
      return () => {
        ended = true
        end?.()
      }
    },
  }
}

interface WatchWish {
  readonly stream: string
  readonly root: SubjectRoot
  readonly parts: Parts
  readonly bucket: string
  readonly prefix: string
  readonly listener: (change: Change) => void
}

interface Watches {
  add(wish: WatchWish): () => void
  close(): void
}

/** One follower for each stream that somebody watches, however many do. */
function createWatches({ line, clock, limits, report }: Parted): Watches {
  const listeners: Listeners<Watched> = createListeners(report)
  const followers = new Map<string, Follower>()
  const watched = new Map<string, number>()

  async function handle({ stream, root, parts }: WatchWish, message: StoredMessage): Promise<void> {
    const [owner = ''] = message.subject.slice(root.heads.length + 1).split('.')
    const bucket = fromToken(owner)
    const name = `${stream} ${bucket}`
    if (!watched.has(name)) return
    const key = keyOf(message.subject)
    const change = await changeOf(message, key, owner, parts)
    if (change === undefined) return
    const tellAll = (other: string) => other.startsWith(`${name}\0`) && key.startsWith(other.slice(name.length + 1))
    listeners.tell(tellAll, { bucket, sequence: message.sequence, change })
  }

  async function changeOf(
    message: StoredMessage,
    key: string,
    owner: string,
    parts: Parts,
  ): Promise<Change | undefined> {
    const head = readHead(message)
    if (head.deleted) return { kind: 'delete', key }
    if (!isLive(head, clock())) return undefined
    // Parts that are gone belong to a value that has a successor, which follows.
    const entry = await toEntry(message, key, parts, owner, Number.POSITIVE_INFINITY, limits)
    return entry && { kind: 'put', entry }
  }

  return {
    add(wish) {
      const { stream, root, bucket, prefix, listener } = wish
      const after = line.seen(stream)
      if (!followers.has(stream)) {
        const filter = `${root.heads}.>`
        followers.set(
          stream,
          follow({ line, stream, filter, after, handle: (message) => handle(wish, message), report }),
        )
      }
      const name = `${stream} ${bucket}`
      watched.set(name, (watched.get(name) ?? 0) + 1)
      const forget = listeners.add(`${name}\0${prefix}`, ({ sequence, change }) =>
        sequence > after ? listener(change) : undefined,
      )
      let ended = false
      return () => {
        if (ended) return
        ended = true
        forget()
        const left = watched.get(name)! - 1
        if (left > 0) watched.set(name, left)
        else watched.delete(name)
      }
    },
    close() {
      for (const follower of followers.values()) follower.close()
    },
  }
}

function warn(error: unknown): void {
  process.emitWarning(`The fabric on NATS: ${error instanceof Error ? error.stack : String(error)}`)
}
