/** What lies where, told by the streams themselves: for `rimward audit`. */
import { EdgeError } from '#/core/errors.ts'
import { scan } from './consume.ts'
import type { Line } from './line.ts'
import { isLive, readHead, type StoredMessage } from './message.ts'
import { fromToken, type Names } from './names.ts'
import type { StreamInfo, StreamReplica } from './streams.ts'

export interface StreamServer {
  readonly name: string
  readonly leader: boolean
  readonly offline: boolean
  /** Has all that was acknowledged, and counts for a majority: one that has just come back may need a while. */
  readonly current: boolean
}

export interface StreamPlace {
  readonly stream: string
  /** False: it exists, and this user has no right to look into it; the rest then says nothing. */
  readonly readable: boolean
  /** Countries that may hold it; absent: anywhere. */
  readonly within?: readonly string[]
  /** Tags that each of its servers has. */
  readonly tags: readonly string[]
  /** Servers that hold a copy; empty where NATS does not say. */
  readonly servers: readonly StreamServer[]
  readonly copies: number
  /** On disk, of one copy, with what is still kept of older versions. */
  readonly bytes: number
  readonly messages: number
  /** What stands in it now, by bucket (`blobs` for blobs), with the parts of large values. */
  readonly buckets: readonly { readonly name: string; readonly records: number; readonly bytes: number }[]
}

export interface StreamCopies {
  readonly stream: string
  /** That it is to have. */
  readonly copies: number
  /** That have all that was acknowledged. */
  readonly current: number
  /** Servers whose copy is not current, or that are gone. */
  readonly behind: readonly string[]
}

/** How many copies of what is shared are sound, as each stream's leader says; without the streams that this user may not see. */
export async function countCopies(line: Line, names: Names): Promise<readonly StreamCopies[]> {
  const all = await streamNames(line, names)
  const told = all.map(async (stream): Promise<StreamCopies | undefined> => {
    const info = await line.call<StreamInfo>(`STREAM.INFO.${stream}`).catch(refused)
    if (info === 'refused' || info === undefined) return undefined
    const { config, cluster } = info
    const behind = (cluster?.replicas ?? []).filter((replica) => !isCurrent(replica))
    const { num_replicas: copies } = config
    return { stream, copies, current: copies - behind.length, behind: behind.map(({ name }) => name) }
  })
  return (await Promise.all(told)).filter((one) => one !== undefined)
}

/** A killed server says no farewell: for ten seconds NATS itself takes its copy for current. */
const silentNs = 3e9

function isCurrent({ current = false, offline = false, active = 0 }: StreamReplica): boolean {
  return current && !offline && active < silentNs
}

export async function describeStreams(line: Line, names: Names): Promise<readonly StreamPlace[]> {
  const places: StreamPlace[] = []
  for (const name of await streamNames(line, names)) {
    const info = await line.call<StreamInfo>(`STREAM.INFO.${name}`).catch(refused)
    if (info === 'refused') places.push({ ...unreadable, stream: name })
    else if (info !== undefined) places.push(await describe(line, names, info))
  }
  return places
}

const unreadable = { readable: false, tags: [], servers: [], copies: 0, bytes: 0, messages: 0, buckets: [] }

function refused(error: unknown): 'refused' {
  if (error instanceof EdgeError && error.code === 'not_here') return 'refused'
  throw error
}

async function streamNames(line: Line, names: Names): Promise<string[]> {
  const found: string[] = []
  for (;;) {
    const page = await line.call<{ streams?: string[] | null; total: number }>('STREAM.NAMES', { offset: found.length })
    const streams = page?.streams ?? []
    found.push(...streams)
    if (streams.length === 0 || found.length >= (page?.total ?? 0)) break
  }
  const ours = (name: string) => name === names.stream || name.startsWith(`${names.stream}-`)
  return found.filter(ours).sort()
}

async function describe(line: Line, names: Names, { config, state, cluster }: StreamInfo): Promise<StreamPlace> {
  const within = /^within (.+)$/.exec(config.description ?? '')?.[1]?.split(',')
  const servers = [
    ...(cluster?.leader === undefined ? [] : [{ name: cluster.leader, leader: true, offline: false, current: true }]),
    ...(cluster?.replicas ?? []).map(({ name, offline = false, current = false }) => {
      return { name, leader: false, offline, current }
    }),
  ]
  return {
    stream: config.name,
    readable: true,
    ...(within && { within }),
    tags: config.placement?.tags ?? [],
    servers,
    copies: config.num_replicas,
    bytes: state.bytes,
    messages: state.messages,
    buckets: await countBuckets(line, names, config.name),
  }
}

async function countBuckets(line: Line, names: Names, stream: string): Promise<StreamPlace['buckets']> {
  const counts = new Map<string, { records: number; bytes: number }>()
  for (const message of await scan(line, stream, '>', { headersOnly: true })) {
    const name = ownerOf(names, stream, message.subject)
    const count = counts.get(name) ?? { records: 0, bytes: 0 }
    counts.set(name, count)
    count.bytes += Number(message.headers.get('Nats-Msg-Size') ?? 0)
    if (isRecord(names, message)) count.records++
  }
  return [...counts].map(([name, count]) => ({ name, ...count })).sort((one, other) => (one.name < other.name ? -1 : 1))
}

/** `platform.b.BUCKET.KEY`, `platform.in.PLACE.p.BUCKET.ID.n`, `platform.o.h.HASH`, and what is the fabric's own. */
function ownerOf(names: Names, stream: string, subject: string): string {
  if (stream === names.blobStream) return 'blobs'
  const tokens = subject.slice(names.stream.length + 1).split('.')
  const [kind, owner = ''] = tokens[0] === 'in' ? tokens.slice(2) : tokens
  if (kind === 'b' || kind === 'p') return fromToken(owner)
  return { l: '(leases)', w: '(placements)', a: '(signs of life)' }[kind ?? ''] ?? '(other)'
}

function isRecord(names: Names, message: StoredMessage): boolean {
  const parts = [names.anywhere.parts, names.blobs.parts].some((root) => message.subject.startsWith(`${root}.`))
  if (parts || /^[^.]+\.in\.[^.]+\.p\./.test(message.subject)) return false
  return isLive(readHead(message), 0)
}
