/** Bookmarks: strings that sort as the commits of a database, in the vendor's form of four groups of hexadecimal digits. */

/** A commit: the log in which it stands, and the last page that it wrote there. */
export interface Moment {
  /** Logs are numbered in the order in which they were begun, from 1. */
  readonly log: number
  /** 0: before anything was written to it. */
  readonly page: number
}

const rest = `00000000-${'0'.repeat(32)}`

export function writeBookmark({ log, page }: Moment): string {
  const hex = (value: number) => value.toString(16).padStart(8, '0')
  return `${hex(log)}-${hex(page)}-${rest}`
}

export function readBookmark(text: string): Moment | undefined {
  const [, log, page] = /^([0-9a-f]{8})-([0-9a-f]{8})-0{8}-0{32}$/.exec(text) ?? []
  return log === undefined || page === undefined ? undefined : { log: parseInt(log, 16), page: parseInt(page, 16) }
}
