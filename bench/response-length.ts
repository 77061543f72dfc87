/**
 * Length of the first whole HTTP/1.1 answer in the text, or undefined while some of it is missing. The text holds bytes
 * as latin1. A body has a `Content-Length` or chunks without trailers; 204 and 304 have none.
 */
export function responseLength(text: string): number | undefined {
  const head = text.indexOf('\r\n\r\n')
  if (head < 0) return undefined
  const length = /\r\ncontent-length: *(\d+)/i.exec(text.slice(0, head + 2))?.[1]
  if (length !== undefined) return text.length >= head + 4 + Number(length) ? head + 4 + Number(length) : undefined
  if (/^HTTP\/1\.1 (204|304)/.test(text)) return head + 4
  const end = text.indexOf('\r\n0\r\n\r\n', head)
  return end < 0 ? undefined : end + 7
}
