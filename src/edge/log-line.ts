/** One line of the access log. */

/** Field names and order of one line; absent fields are left out. No header field is ever logged. */
export interface LogLine {
  readonly time: string
  readonly id: string
  readonly pop: string
  readonly site: string | undefined
  readonly program: string | undefined
  readonly deployment: string | undefined
  client: string
  readonly country: string | undefined
  readonly method: string
  readonly scheme: string
  readonly host: string
  path: string
  readonly httpVersion: string
  readonly status: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly durationMs: number
  readonly cache: string | undefined
  readonly start: string | undefined
  readonly error: string | undefined
  readonly detail: string | undefined
  readonly cause: string | undefined
}

/** What `JSON.stringify` writes, with a line end, in a third of its time: the names are known, most values are plain. */
export function formatLine(line: LogLine): string {
  return `{"time":${quoted(line.time)},"id":${quoted(line.id)},"pop":${quoted(line.pop)}${
    optional('site', line.site) + optional('program', line.program) + optional('deployment', line.deployment)
  },"client":${quoted(line.client)}${optional('country', line.country)},"method":${quoted(line.method)},"scheme":${quoted(
    line.scheme,
  )},"host":${quoted(line.host)},"path":${quoted(line.path)},"httpVersion":${quoted(line.httpVersion)},"status":${
    line.status
  },"bytesIn":${line.bytesIn},"bytesOut":${line.bytesOut},"durationMs":${line.durationMs}${
    optional('cache', line.cache) + optional('start', line.start) + optional('error', line.error)
  }${optional('detail', line.detail)}${optional('cause', line.cause)}}\n`
}

function optional(name: string, value: string | undefined): string {
  return value === undefined ? '' : `,"${name}":${quoted(value)}`
}

/** Text that means itself in JSON. */
const plain = /^[ !#-[\]-~]*$/

function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text)
}
