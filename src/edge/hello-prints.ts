/** Names for kinds of TLS clients, made from their ClientHello: JA3 and JA4. */
import { createHash } from 'node:crypto'
import { type ClientHello, isGrease } from './client-hello.ts'

const real = (numbers: readonly number[]) => numbers.filter((number) => !isGrease(number))
const hex = (number: number) => number.toString(16).padStart(4, '0')

/** JA3 before its hash: version, ciphers, extensions, groups and point formats in decimal. https://github.com/salesforce/ja3 */
export function ja3Text(hello: ClientHello): string {
  const { version, ciphers, extensions, groups, pointFormats } = hello
  const lists = [ciphers, extensions, groups].map((list) => real(list).join('-'))
  return [version, ...lists, pointFormats.join('-')].join(',')
}

/** 32 hex digits. */
export function ja3(hello: ClientHello): string {
  return createHash('md5').update(ja3Text(hello)).digest('hex')
}

const versionNames: Readonly<Record<number, string>> = {
  772: '13',
  771: '12',
  770: '11',
  769: '10',
  768: 's3',
  2: 's2',
}

/** E.g. `t13d1516h2_8daaf6152771_e5627efa2ab1`. https://github.com/FoxIO-LLC/ja4/blob/main/technical_details/JA4.md */
export function ja4(hello: ClientHello): string {
  const ciphers = real(hello.ciphers)
  const extensions = real(hello.extensions)
  const versions = real(hello.versions)
  const version = versions.length === 0 ? hello.version : Math.max(...versions)
  const named = hello.extensions.includes(0) ? 'd' : 'i'
  const counts = count(ciphers) + count(extensions)
  const rest = sorted(extensions.filter((number) => number !== 0 && number !== 16))
  const signatures = real(hello.signatures).map(hex).join(',')
  const behind = rest !== '' && signatures !== '' ? `${rest}_${signatures}` : rest
  const start = `t${versionNames[version] ?? '00'}${named}${counts}${ends(hello.protocols[0] ?? '')}`
  return `${start}_${short(sorted(ciphers))}_${short(behind)}`
}

function count(list: readonly number[]): string {
  return String(Math.min(list.length, 99)).padStart(2, '0')
}

function sorted(numbers: readonly number[]): string {
  return numbers.map(hex).sort().join(',')
}

function short(text: string): string {
  return text === '' ? '000000000000' : createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/** First and last character of a protocol's name; of its hex digits where one of them is neither letter nor digit. */
function ends(protocol: string): string {
  if (protocol === '') return '00'
  const plain = /^[0-9A-Za-z]$/
  const isPlain = plain.test(protocol[0]!) && plain.test(protocol.at(-1)!)
  const text = isPlain ? protocol : Buffer.from(protocol, 'latin1').toString('hex')
  return text[0]! + text.at(-1)!
}
