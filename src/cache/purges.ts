/**
 * What was purged and when, so that an answer fetched before a purge never counts as one after it, wherever it lies
 * and whatever was in flight. Every purge takes the next sequence number; every fetch notes the number at its start.
 */
import type { PurgeWish } from '#/core/cache-policy.ts'
import type { EpochMs } from '#/core/units.ts'
import { canonicalUrl } from './cache-key.ts'
import type { StoredHead } from './store.ts'

export interface Purged {
  readonly hard: boolean
  /** When the soft purge made it stale. */
  readonly at: EpochMs
}

export interface Purges {
  /** The number that a fetch notes when it begins. */
  readonly sequence: number
  /** How many purges are remembered. */
  readonly size: number
  /** Takes effect before it returns. */
  add(wishes: readonly PurgeWish[], at: EpochMs): void
  /** The strictest purge that is younger than this answer; undefined when there is none. */
  of(head: StoredHead): Purged | undefined
  /** Forgets purges up to this number: they were carried out on all that is older, stored or arriving. */
  forget(upTo: number): void
}

interface Mark {
  readonly sequence: number
  readonly at: EpochMs
}

/** One strictness: hard or soft. Texts are `scope NUL what`; an empty scope is every scope. */
interface Marks {
  readonly everything: Map<string, Mark>
  readonly urls: Map<string, Mark>
  readonly tags: Map<string, Mark>
  readonly hosts: Map<string, Mark>
  readonly prefixes: Map<string, Mark>
  /** Lengths of the prefixes, so that an answer's URL is cut only where a prefix may match. */
  prefixLengths: readonly number[]
  latest: number
}

const createMarks = (): Marks => ({
  everything: new Map(),
  urls: new Map(),
  tags: new Map(),
  hosts: new Map(),
  prefixes: new Map(),
  prefixLengths: [],
  latest: 0,
})

const tables = ['everything', 'urls', 'tags', 'hosts', 'prefixes'] as const

/**
 * `start` must be above every number that stored answers bear: the clock in microseconds is, so that numbers go on
 * growing over a restart.
 */
export function createPurges(start: number): Purges {
  let sequence = start
  const hard = createMarks()
  const soft = createMarks()

  return {
    get sequence() {
      return sequence
    },
    get size() {
      return count(hard) + count(soft)
    },
    add(wishes, at) {
      for (const wish of wishes) {
        sequence++
        mark(wish.soft ? soft : hard, wish, { sequence, at })
      }
    },
    of(head) {
      // Nearly always nothing younger than the answer was purged.
      if (head.sequence < hard.latest) {
        const found = youngest(hard, head)
        if (found !== undefined) return { hard: true, at: found.at }
      }
      if (head.sequence >= soft.latest) return undefined
      const found = youngest(soft, head)
      return found === undefined ? undefined : { hard: false, at: found.at }
    },
    forget(upTo) {
      for (const marks of [hard, soft]) {
        for (const name of tables) forgetUpTo(marks[name], upTo)
        measurePrefixes(marks)
      }
    },
  }
}

function count(marks: Marks): number {
  return tables.reduce((sum, name) => sum + marks[name].size, 0)
}

function forgetUpTo(table: Map<string, Mark>, upTo: number): void {
  for (const [text, { sequence }] of table) if (sequence <= upTo) table.delete(text)
}

function measurePrefixes(marks: Marks): void {
  marks.prefixLengths = [...new Set([...marks.prefixes.keys()].map((text) => text.length - text.indexOf('\0') - 1))]
}

function mark(marks: Marks, { scope = '', what }: PurgeWish, value: Mark): void {
  marks.latest = value.sequence
  switch (what.kind) {
    case 'everything':
    // Whoever cannot read which: all that it may be.
    case 'hidden':
      marks.everything.set(scope, value)
      return
    case 'url':
      marks.urls.set(`${scope}\0${withoutScheme(canonicalUrl(what.url))}`, value)
      return
    case 'tag':
      marks.tags.set(`${scope}\0${what.tag.trim().toLowerCase()}`, value)
      return
    case 'host':
      marks.hosts.set(`${scope}\0${what.host.toLowerCase()}`, value)
      return
    case 'prefix': {
      const prefix = withoutScheme(what.prefix.includes('://') ? what.prefix : `//${what.prefix}`)
      const slash = prefix.indexOf('/')
      const host = slash === -1 ? prefix : prefix.slice(0, slash)
      marks.prefixes.set(`${scope}\0${host.toLowerCase()}${prefix.slice(host.length)}`, value)
      if (!marks.prefixLengths.includes(prefix.length)) marks.prefixLengths = [...marks.prefixLengths, prefix.length]
    }
  }
}

/** Both schemes at once: who purges `http://…` does not mean to leave the copy that HTTPS serves. */
function withoutScheme(url: string): string {
  return url.slice(url.indexOf('//') + 2)
}

function youngest(marks: Marks, head: StoredHead): Mark | undefined {
  return youngestIn(marks, head, '') ?? youngestIn(marks, head, head.scope)
}

function youngestIn(marks: Marks, head: StoredHead, scope: string): Mark | undefined {
  const after = (mark: Mark | undefined) => (mark !== undefined && mark.sequence > head.sequence ? mark : undefined)
  let found = after(marks.everything.get(scope))
  if (found !== undefined) return found
  if (marks.tags.size > 0)
    for (const tag of head.tags) {
      found = after(marks.tags.get(`${scope}\0${tag}`))
      if (found !== undefined) return found
    }
  if (marks.urls.size === 0 && marks.hosts.size === 0 && marks.prefixes.size === 0) return undefined
  const url = withoutScheme(head.url)
  found = after(marks.urls.get(`${scope}\0${url}`))
  if (found !== undefined) return found
  if (marks.hosts.size > 0) {
    const host = url.slice(0, url.indexOf('/'))
    found = after(marks.hosts.get(`${scope}\0${host}`)) ?? after(marks.hosts.get(`${scope}\0${withoutPort(host)}`))
    if (found !== undefined) return found
  }
  for (const length of marks.prefixLengths) {
    if (length > url.length) continue
    found = after(marks.prefixes.get(`${scope}\0${url.slice(0, length)}`))
    if (found !== undefined) return found
  }
  return undefined
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, '')
}
