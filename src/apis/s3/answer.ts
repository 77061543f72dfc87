/** Answers of the S3 API, and how they are written. */
import type { ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import type { BucketObject, StorageClass } from '#/core/buckets.ts'
import { pour } from '#/core/lent-chunks.ts'
import { writeXml, type XmlValue } from './xml.ts'

export interface S3Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | Readable | null
}

export function xml(root: string, value: XmlValue, status = 200): S3Answer {
  const body = Buffer.from(writeXml(root, value))
  return { status, headers: { 'content-type': 'application/xml', 'content-length': String(body.length) }, body }
}

export function send(response: ServerResponse, { status, headers = {}, body = null }: S3Answer): void {
  response.writeHead(status, {
    ...(body === null && status !== 204 && status !== 304 && { 'content-length': '0' }),
    ...headers,
  })
  if (body === null || body instanceof Uint8Array) return void response.end(body ?? undefined)
  pour(body, response)
}

/** As ETags stand in fields and documents. */
export const quoted = (etag: string) => `"${etag}"`
/** A storage class by S3's word for it. */
export const className = (storageClass: StorageClass) => (storageClass === 'Standard' ? 'STANDARD' : 'STANDARD_IA')

/** Header values are bytes: names and values beyond ASCII travel as UTF-8. */
const bytes = (text: string) => Buffer.from(text).toString('latin1')

/** Fields of an object's own; `content-length` aside. */
export function objectHeaders({ etag, uploadedAt, http, custom, storageClass, version }: BucketObject) {
  const headers: Record<string, string> = {
    etag: quoted(etag),
    'last-modified': new Date(uploadedAt).toUTCString(),
    'accept-ranges': 'bytes',
    'content-type': http.contentType ?? 'application/octet-stream',
    'x-amz-version-id': version,
  }
  if (http.contentLanguage !== undefined) headers['content-language'] = bytes(http.contentLanguage)
  if (http.contentDisposition !== undefined) headers['content-disposition'] = bytes(http.contentDisposition)
  if (http.contentEncoding !== undefined) headers['content-encoding'] = bytes(http.contentEncoding)
  if (http.cacheControl !== undefined) headers['cache-control'] = bytes(http.cacheControl)
  if (http.expiresAt !== undefined) headers.expires = new Date(http.expiresAt).toUTCString()
  if (storageClass !== 'Standard') headers['x-amz-storage-class'] = className(storageClass)
  for (const [name, value] of Object.entries(custom)) headers[`x-amz-meta-${name.toLowerCase()}`] = bytes(value)
  return headers
}
