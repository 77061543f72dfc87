/** Bodies of uploads, written by hand so that they can be wrong. */

/** Type of an ES module. */
export const esm = 'application/javascript+module'

/** A module with a class and a handler. */
export const goodModule = 'export class Counter {}\nexport default { fetch() {} }'

export interface FilePart {
  readonly name: string
  readonly text: string
  readonly type?: string
}

export function upload(
  metadata: object | string,
  parts: readonly FilePart[] = [{ name: 'index.js', text: goodModule }],
): RequestInit {
  const text = typeof metadata === 'string' ? metadata : JSON.stringify(metadata)
  const pieces = [
    `--B\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n${text}\r\n`,
    ...parts.map(
      ({ name, text, type = esm }) =>
        `--B\r\nContent-Disposition: form-data; name="${name}"; filename="${name}"\r\nContent-Type: ${type}\r\n\r\n${text}\r\n`,
    ),
    '--B--\r\n',
  ]
  return { body: pieces.join(''), headers: { 'content-type': 'multipart/form-data; boundary=B' } }
}

export const main = { main_module: 'index.js', compatibility_date: '2026-11-01' }
