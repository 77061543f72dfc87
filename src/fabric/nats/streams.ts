/** The streams that the fabric keeps its data in: made when missing, never changed into something else. */
import { EdgeError } from '#/core/errors.ts'
import type { Limits } from '#/core/limits.ts'
import type { Within } from '#/core/pops.ts'
import { type ApiAnswer, apiErrors } from './answers.ts'
import type { Line } from './line.ts'
import { type Names, placeTag } from './names.ts'
import { JetStreamRefusal } from './refusals.ts'

export interface StreamConfig {
  readonly name: string
  readonly subjects: readonly string[]
  readonly num_replicas: number
  readonly max_msgs_per_subject: number
  readonly storage: string
  readonly description?: string
  readonly placement?: { readonly tags?: readonly string[] }
  readonly mirror?: unknown
  readonly sources?: readonly unknown[]
}

export interface StreamInfo extends ApiAnswer {
  readonly config: StreamConfig
  readonly state: {
    readonly last_seq: number
    readonly bytes: number
    readonly messages: number
    readonly subjects?: Readonly<Record<string, number>>
  }
  readonly cluster?: {
    readonly name?: string
    readonly leader?: string
    readonly replicas?: readonly { readonly name: string; readonly current?: boolean; readonly offline?: boolean }[]
  }
  readonly total?: number
}

export interface StreamsOptions {
  readonly line: Line
  readonly names: Names
  readonly limits: Pick<Limits, 'natsHistory'>
  /** Copies of each stream; absent: three where there are three servers, else one. */
  readonly replicas?: 1 | 3
  /** All servers lie in these countries, which no tag has to prove. */
  readonly serversWithin?: Within
  readonly report: (error: unknown) => void
}

export interface Streams {
  /** Makes what every fabric needs. */
  ensureCommon(): Promise<void>
  /** Makes the stream of these countries, on servers that lie there; refused with `not_here` where none does. */
  ensurePlaced(within: Within): Promise<void>
}

export function createStreams(options: StreamsOptions): Streams {
  const { line, names, limits, replicas, serversWithin, report } = options
  const placed = new Map<string, Promise<void>>()

  const configOf = (name: string, subjects: readonly string[], history: number) => ({
    name,
    subjects,
    retention: 'limits',
    storage: 'file',
    discard: 'new',
    max_msgs_per_subject: history,
    max_consumers: -1,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    duplicate_window: 120 * 1e9,
  })
  type Config = ReturnType<typeof configOf> & { readonly description?: string }

  async function info(name: string): Promise<StreamInfo | undefined> {
    return line.call<StreamInfo>(`STREAM.INFO.${name}`)
  }

  /** As many copies as are wanted and allowed; `tags` are tried one after the other. */
  async function make(config: Config, tags: readonly (string | undefined)[]): Promise<StreamInfo> {
    let refusal: unknown
    for (const tag of tags) {
      // Few countries have three servers: what is tied to them then has one copy.
      for (const copies of replicas === undefined || tag !== undefined ? [3, 1] : [replicas]) {
        const wish = { ...config, num_replicas: copies, ...(tag === undefined ? {} : { placement: { tags: [tag] } }) }
        try {
          const made = await line.call<StreamInfo>(`STREAM.CREATE.${config.name}`, wish)
          if (made !== undefined) return made
        } catch (error) {
          refusal = error
          if (isTaken(error)) return (await info(config.name)) ?? Promise.reject(error)
          if (!isNoRoom(error)) throw error
        }
      }
    }
    throw refusal
  }

  async function ensure(config: Config, tags: readonly (string | undefined)[]): Promise<StreamInfo> {
    const found = (await info(config.name)) ?? (await make(config, tags).catch((error) => explain(error, config.name)))
    const difference = differenceOf(found.config, config)
    if (difference !== undefined)
      throw new EdgeError('bad_request', `The stream ${config.name} of NATS is not as Rimward makes it: ${difference}.`)
    line.saw(config.name, found.state.last_seq)
    await raise(found)
    return found
  }

  /** A stream made while servers were missing gets its copies later. */
  async function raise({ config, cluster }: StreamInfo): Promise<void> {
    const tied = (config.placement?.tags ?? []).length > 0
    const wanted = tied ? 3 : (replicas ?? (cluster?.name === undefined ? config.num_replicas : 3))
    if (wanted <= config.num_replicas) return
    try {
      await line.call(`STREAM.UPDATE.${config.name}`, { ...config, num_replicas: wanted })
    } catch (error) {
      if (replicas !== undefined && !tied) throw error
      report(new Error(`The stream ${config.name} has one copy, not ${wanted}.`, { cause: error }))
    }
  }

  async function placeNow(within: Within): Promise<void> {
    const name = names.placedStream(within)
    const root = names.placed(within)
    const config = {
      ...configOf(name, [`${root.heads}.>`, `${root.parts}.>`], limits.natsHistory),
      description: `within ${[...within].sort().join(',')}`,
    }
    const told = serversWithin?.every((country) => within.includes(country)) ?? false
    if (told) return void (await ensure(config, [undefined]))
    const common = await info(names.stream)
    if (common?.cluster?.name === undefined)
      throw new EdgeError(
        'not_here',
        `Nothing proves that this NATS server lies in ${config.description.slice(7)}: a single server knows no tags.`,
      )
    const tags = [...new Set([placeTag(within), ...[...within].sort().map((country) => placeTag([country]))])]
    const found = await ensure(config, tags)
    const [tag] = found.config.placement?.tags ?? []
    if (tag !== undefined && tags.includes(tag.toLowerCase())) return
    throw new EdgeError(
      'not_here',
      `The stream ${name} of NATS is not tied to servers in ${config.description.slice(7)}.`,
    )
  }

  return {
    async ensureCommon() {
      const { stream, blobStream, anywhere, blobs, leases, placements, signs } = names
      const kept = [anywhere.heads, anywhere.parts, leases, placements, signs].map((root) => `${root}.>`)
      await ensure(configOf(stream, kept, limits.natsHistory), [undefined])
      await ensure(configOf(blobStream, [`${blobs.heads}.>`, `${blobs.parts}.>`], limits.natsHistory), [undefined])
    },
    ensurePlaced(within) {
      const name = names.placedStream(within)
      const known = placed.get(name) ?? placeNow(within)
      placed.set(name, known)
      known.catch(() => placed.delete(name))
      return known
    },
  }

  function explain(error: unknown, name: string): never {
    if (error instanceof EdgeError && error.code === 'not_here')
      throw new EdgeError('not_here', `The stream ${name} is missing, and this NATS user may not make it.`, {
        cause: error,
      })
    if (error instanceof JetStreamRefusal && error.code === apiErrors.noPeers)
      throw new EdgeError('not_here', `No NATS server may hold the stream ${name}: ${error.message}.`, { cause: error })
    throw error
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof JetStreamRefusal && error.code === apiErrors.nameInUse
}

/** Fewer copies may still find servers. */
function isNoRoom(error: unknown): boolean {
  if (error instanceof EdgeError) return error.code === 'storage_full'
  return (
    error instanceof JetStreamRefusal && [apiErrors.noPeers, apiErrors.notClustered].some((code) => code === error.code)
  )
}

/** What makes a found stream unfit, as words. */
export function differenceOf(
  found: StreamConfig,
  wanted: { readonly subjects: readonly string[]; readonly max_msgs_per_subject: number },
): string | undefined {
  if ([...found.subjects].sort().join() !== [...wanted.subjects].sort().join())
    return `its subjects are ${found.subjects.join(', ')}`
  if (found.mirror !== undefined || (found.sources ?? []).length > 0) return 'it copies another stream'
  if (found.storage !== 'file') return 'it is not kept on disk'
  if (found.max_msgs_per_subject !== wanted.max_msgs_per_subject)
    return `it keeps ${found.max_msgs_per_subject} versions of a key`
  return undefined
}
