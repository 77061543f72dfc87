/** What is known of the client and its request, whichever import module asks. */
import { createHash } from 'node:crypto'
import { isIP } from 'node:net'
import type { ClientFacts } from '../../protocol.ts'
import type { Hostcall, HostcallResult } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'
import { status } from '../status.ts'

type Where = [pointer: number, capacity: number, written: number]

/** Four or sixteen bytes of an address; undefined for what is none. */
export function addressBytes(text: string): Uint8Array | undefined {
  const address = text.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
  if (isIP(address) === 4) return Uint8Array.from(address.split('.'), Number)
  if (isIP(address) !== 6) return undefined
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'))
  const before = groups(head)
  const after = groups(tail)
  const all = [...before, ...new Array<string>(8 - before.length - after.length).fill('0'), ...after]
  return Uint8Array.from(all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 255]))
}

export function giveAddress(sandbox: Sandbox, address: string, pointer: number, written: number): HostcallResult {
  const bytes = addressBytes(address)
  if (bytes === undefined) return status.none
  sandbox.memory.write(pointer, bytes)
  sandbox.memory.u32(written, bytes.length)
  return status.ok
}

function text(read: (client: ClientFacts, sandbox: Sandbox) => string | undefined): Hostcall {
  return (sandbox, ...where: Where) => {
    const value = read(sandbox.run.client, sandbox)
    if (value === undefined) return status.none
    sandbox.memory.give(value, ...where)
    return status.ok
  }
}

type Print = 'hello' | 'ja3' | 'ja4' | 'http2'

const md5Bytes = 16

/** The node works it out for who asks: with each request it would cost all programs more than the few that want it. */
function givePrint(sandbox: Sandbox, print: Print, where: Where): HostcallResult {
  if (print !== 'http2' && sandbox.run.client.tls === undefined) return status.none
  return sandbox.line.call({ do: 'client.print', run: sandbox.run.run, print }, null).reply.then(
    ({ body }) => {
      if (!(body instanceof Uint8Array)) return status.none
      sandbox.memory.give(body, ...where)
      return status.ok
    },
    () => status.error,
  )
}

/** 32 hex digits for names of fields in their order, however they are capitalised. */
function namesPrint(names: readonly string[]): string {
  return createHash('sha256').update(names.join('\0').toLowerCase()).digest('hex').slice(0, 32)
}

const unknown: Hostcall = () => status.none
const no: Hostcall = (sandbox, out: number) => sandbox.memory.u32(out, 0)

/** `client_cert_verify_result`: no client is asked for a certificate. */
const certificateMissing = 5

/** As at Fastly, in hexadecimal digits: the request's name in our log, with zeros before it. */
const requestIdLength = 32

/** OpenSSL's names of versions, as programs get them. */
const protocols: Readonly<Record<string, string>> = { TLSv1: 'TLSv1', 'TLSv1.1': 'TLSv1.1' }

/** Those that ask the node. */
export const waitingFacts: readonly string[] = [
  'downstream_client_h2_fingerprint',
  'downstream_tls_client_hello',
  'downstream_tls_ja3_md5',
  'downstream_tls_ja4',
  'fastly_key_is_valid',
]

/** By their names in `fastly_http_downstream`, without the request's handle that stands first there. */
export const downstreamFacts: Readonly<Record<string, Hostcall>> = {
  downstream_original_header_names(sandbox, ...where: [number, number, number, number, number]) {
    sandbox.memory.giveMany(sandbox.run.originalNames, ...where)
  },
  downstream_original_header_count(sandbox, out: number) {
    sandbox.memory.u32(out, sandbox.run.originalNames.length)
  },
  downstream_client_ip_addr: (sandbox, pointer: number, written: number) =>
    giveAddress(sandbox, sandbox.run.client.address, pointer, written),
  downstream_server_ip_addr: (sandbox, pointer: number, written: number) =>
    giveAddress(sandbox, sandbox.run.client.serverAddress, pointer, written),
  downstream_client_h2_fingerprint: (sandbox, ...where: Where) =>
    sandbox.run.client.httpVersion === '2' ? givePrint(sandbox, 'http2', where) : status.none,
  downstream_client_request_id: text((_client, { run }) => run.requestId.padStart(requestIdLength, '0')),
  downstream_client_oh_fingerprint: text((_client, { run }) => namesPrint(run.originalNames)),
  downstream_client_ddos_detected: no,
  downstream_tls_cipher_openssl_name: text(({ tls }) => tls?.cipher),
  downstream_tls_protocol: text(({ tls }) => tls && (protocols[tls.version] ?? tls.version)),
  downstream_tls_client_hello: (sandbox, ...where: Where) => givePrint(sandbox, 'hello', where),
  // No client is asked for a certificate: of a connection with TLS it is empty.
  downstream_tls_raw_client_certificate: text(({ tls }) => tls && ''),
  downstream_tls_client_cert_verify_result(sandbox, out: number) {
    if (sandbox.run.client.tls === undefined) return status.none
    sandbox.memory.u32(out, certificateMissing)
    return status.ok
  },
  downstream_tls_client_servername: text(({ tls }) => tls?.serverName),
  downstream_tls_ja3_md5: (sandbox, pointer: number, written: number) =>
    givePrint(sandbox, 'ja3', [pointer, md5Bytes, written]),
  downstream_tls_ja4: (sandbox, ...where: Where) => givePrint(sandbox, 'ja4', where),
  downstream_compliance_region: text(() => 'none'),
  fastly_key_is_valid(sandbox, out: number) {
    return sandbox.line.call({ do: 'key-is-valid', run: sandbox.run.run }, null).reply.then(
      ({ head }) => sandbox.memory.u32(out, head.valid === true ? 1 : 0),
      () => status.error,
    )
  },
  downstream_bot_analyzed: no,
  downstream_bot_detected: no,
  downstream_bot_name: unknown,
  downstream_bot_category: unknown,
  downstream_bot_category_kind: unknown,
  downstream_bot_verified: unknown,
  downstream_resvpnproxy_is_anonymous: unknown,
  downstream_resvpnproxy_is_anonymous_vpn: unknown,
  downstream_resvpnproxy_is_hosting_provider: unknown,
  downstream_resvpnproxy_is_proxy_over_vpn: unknown,
  downstream_resvpnproxy_is_public_proxy: unknown,
  downstream_resvpnproxy_is_relay_proxy: unknown,
  downstream_resvpnproxy_is_residential_proxy: unknown,
  downstream_resvpnproxy_is_smart_dns_proxy: unknown,
  downstream_resvpnproxy_is_tor_exit_node: unknown,
  downstream_resvpnproxy_is_vpn_datacenter: unknown,
  downstream_resvpnproxy_vpn_service_name: unknown,
}
