/**
 * The head of an answer that comes again with every use of a stored one: checked and thinned once, written out once a
 * second, because until then only the count of its uses and the request's own number change.
 */
import type { HeaderList } from '#/core/exchange.ts'
import type { StoredUse } from '#/core/stored-use.ts'
import { connectionNames, hopByHop } from '#/http/header-list.ts'
import { areFieldsSound } from './check-fields.ts'

interface FixedHead {
  /** Of the stored fields; undefined where each use is to be looked at like any other answer. */
  readonly lines: string | undefined
  /** What `text` was made for. */
  age: string
  cacheStatus: string
  text: string
}

const known = new WeakMap<HeaderList, FixedHead>()

/**
 * Status line and fields up to, not with, what differs from use to use (`fixedRest`). Undefined where this is not a use of a
 * stored answer, or its fields have no date, name others in `Connection` or are unsound. `drop`: names that are not sent.
 */
export function fixedHead(use: StoredUse, drop: ReadonlySet<string>, pop: string): string | undefined {
  const { fixed, age, cacheStatus } = use
  let head = known.get(fixed)
  if (head === undefined) {
    head = { lines: storedLines(fixed, drop), age: '', cacheStatus: '', text: '' }
    known.set(fixed, head)
  }
  if (head.lines === undefined) return undefined
  if (head.age !== age || head.cacheStatus !== cacheStatus) {
    head.age = age
    head.cacheStatus = cacheStatus
    head.text = flat(`HTTP/1.1 200 OK\r\n${head.lines}${ownLines(use)}x-served-by: ${pop}\r\n`)
  }
  return head.text
}

export function fixedRest({ cacheHits }: StoredUse, ray: string): string {
  return `x-cache-hits: ${cacheHits}\r\ncf-ray: ${ray}\r\n`
}

function storedLines(fixed: HeaderList, drop: ReadonlySet<string>): string | undefined {
  if (connectionNames(fixed) !== undefined || !areFieldsSound(fixed)) return undefined
  let lines = ''
  let dated = false
  for (let index = 0; index < fixed.length; index += 2) {
    const name = fixed[index]!.toLowerCase()
    if (name === 'date') dated = true
    if (!hopByHop.has(name) && !drop.has(name)) lines += `${fixed[index]}: ${fixed[index + 1]}\r\n`
  }
  return dated ? lines : undefined
}

/** The platform's own words behind the stored fields. */
function ownLines({ headers, fixed }: StoredUse): string {
  let lines = ''
  for (let index = fixed.length; index < headers.length; index += 2)
    if (headers[index] !== 'x-cache-hits') lines += `${headers[index]}: ${headers[index + 1]}\r\n`
  return lines
}

/** One piece of text: what is joined from many is joined anew by each who reads it. */
function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}
