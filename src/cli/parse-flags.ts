/** Flags of `up` as values: addresses and points of presence. Each returns a value or throws a `Complaint` naming the flag. */
import { isIP } from 'node:net'
import { defaultLimits } from '#/core/limits.ts'
import { Complaint } from './complaint.ts'

export interface Address {
  readonly host: string
  readonly port: number
}

/** `HOST:PORT`, `[V6]:PORT`; port 0 lets the kernel choose. */
export function parseAddress(flag: string, text: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  if (host === undefined || port > 65_535 || (match?.[1] !== undefined && isIP(host) !== 6)) {
    throw new Complaint(`${flag} takes HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080; got "${text}".`)
  }
  return { host, port }
}

export interface PopName {
  readonly id: string
  /** ISO 3166-1 alpha-2. */
  readonly country?: string
}

/** `--pops`: `id` or `id:COUNTRY`, several separated by commas; each id once. */
export function parsePops(text: string): readonly PopName[] {
  const pops = text.split(',').map((one): PopName => {
    const match = /^([a-z][a-z0-9-]{0,30})(?::([A-Z]{2}))?$/.exec(one.trim())
    if (match === null)
      throw new Complaint(
        `--pops takes ID or ID:COUNTRY, several separated by commas, such as fra:DE,iad:US; got "${text}".`,
      )
    return { id: match[1]!, ...(match[2] !== undefined && { country: match[2] }) }
  })
  const twice = pops.find(({ id }, index) => pops.findIndex((other) => other.id === id) < index)
  if (twice !== undefined) throw new Complaint(`--pops names "${twice.id}" twice.`)
  const most = defaultLimits.popsPerProcess
  if (pops.length > most)
    throw new Complaint(`--pops names ${pops.length} points of presence; one process runs ${most}.`)
  return pops
}

/** A number from 0 to 100, with or without `%`. */
export function parsePercent(flag: string, text: string): number {
  const percent = /^\d+(\.\d+)?%?$/.test(text) ? Number.parseFloat(text) : Number.NaN
  if (percent >= 0 && percent <= 100) return percent
  throw new Complaint(`${flag} takes a percentage from 0 to 100; got "${text}".`)
}

/** One of a few words. */
export function oneOf<Word extends string>(flag: string, text: string, words: readonly Word[]): Word {
  const found = words.find((word) => word === text)
  if (found !== undefined) return found
  throw new Complaint(`${flag} takes ${words.slice(0, -1).join(', ')} or ${words.at(-1)}; got "${text}".`)
}
