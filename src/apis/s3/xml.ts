/** As much of XML as S3 needs: elements, text, no attributes but a namespace. */

/** A list repeats its element; `undefined` leaves it out. */
export type XmlValue =
  | string
  | number
  | boolean
  | undefined
  | readonly XmlValue[]
  | { readonly [name: string]: XmlValue }

export function writeXml(root: string, value: XmlValue): string {
  const xmlns = root === 'Error' ? '' : ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${xmlns}>${inner(value)}</${root}>`
}

function inner(value: XmlValue): string {
  if (value === undefined) return ''
  if (typeof value !== 'object') return escaped(String(value))
  return Object.entries(value)
    .flatMap(([name, one]) => (Array.isArray(one) ? one : [one]).map((each) => element(name, each as XmlValue)))
    .join('')
}

const element = (name: string, value: XmlValue) => (value === undefined ? '' : `<${name}>${inner(value)}</${name}>`)

/** What XML 1.0 cannot hold at all travels as a reference, as S3 writes it. */
const escaped = (text: string) =>
  text.replace(/[&<>"'\0-\u001f]/g, (char) => (char === '\t' ? char : `&#${char.charCodeAt(0)};`))

export interface XmlElement {
  readonly name: string
  readonly children: XmlElement[]
  text: string
}

const depthLimit = 16
const entities: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

/** `undefined` where it is not well formed. Comments, instructions and document types are not read. */
export function readXml(text: string): XmlElement | undefined {
  const root: XmlElement = { name: '', children: [], text: '' }
  const open = [root]
  const token = /<\?[\s\S]*?\?>|<!--[\s\S]*?-->|<(\/?)([A-Za-z_][\w.:-]*)(?:\s[^<>]*?)?(\/?)>|([^<]+)|(<)/g
  for (const [, slash, name, empty, chars, stray] of text.replace(/^\ufeff/, '').matchAll(token)) {
    const top = open.at(-1)!
    if (stray !== undefined) return undefined
    if (chars !== undefined) top.text += unescaped(chars)
    if (name === undefined) continue
    if (slash === '/') {
      if (open.length === 1 || top.name !== name) return undefined
      open.pop()
      continue
    }
    const made: XmlElement = { name, children: [], text: '' }
    top.children.push(made)
    if (empty !== '/') open.push(made)
    if (open.length > depthLimit) return undefined
  }
  return open.length === 1 && root.children.length === 1 ? root.children[0] : undefined
}

function unescaped(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([0-9a-fA-F]{1,6})|(\w+));/g, (whole, decimal, hex, name) => {
    if (name !== undefined) return entities[name] ?? whole
    const code = decimal === undefined ? Number.parseInt(hex, 16) : Number(decimal)
    return code <= 0x10ffff ? String.fromCodePoint(code) : whole
  })
}

export const childText = (element: XmlElement, name: string): string | undefined =>
  element.children.find((child) => child.name === name)?.text
