/** `fastly_http_downstream`: facts about the client, and the requests that may follow. */
import type { Hostcall, HostcallModule } from '../hostcall.ts'
import { GuestRequest } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'
import { downstreamFacts, waitingFacts } from './downstream-facts.ts'
import { nextRequestCalls } from './next-request.ts'

/** Each fact, of the request that a handle names: only of the client's. */
function ofRequest(fact: Hostcall): Hostcall {
  return (sandbox, handle: number, ...rest) => {
    if (!sandbox.handles.get(handle, GuestRequest).downstream) refuse(status.error, 'not a request of the client')
    return fact(sandbox, ...rest)
  }
}

/** How often this platform is named in `CDN-Loop` (RFC 8586 §2): how often the request was here already. */
function visits(sandbox: Sandbox, out: number): void {
  const members = sandbox.request.headers.values('cdn-loop').flatMap((value) => value.split(','))
  sandbox.memory.u32(out, members.filter((member) => member.split(';', 1)[0]!.trim() === 'rimward').length)
}

export const httpDownstream: HostcallModule = {
  name: 'fastly_http_downstream',
  waits: new Set([...waitingFacts, 'next_request_wait']),
  calls: {
    ...Object.fromEntries(Object.entries(downstreamFacts).map(([name, fact]) => [name, ofRequest(fact)])),
    downstream_visits_this_service: visits,
    downstream_visits_this_pop: visits,
    ...nextRequestCalls,
  },
}

/** The same under the names that older programs import from `fastly_http_req`. */
export const olderDownstreamCalls: Readonly<Record<string, Hostcall>> = {
  ...Object.fromEntries(
    [
      ...['client_ip_addr', 'server_ip_addr', 'client_h2_fingerprint', 'client_request_id', 'client_oh_fingerprint'],
      ...['client_ddos_detected', 'tls_cipher_openssl_name', 'tls_protocol', 'tls_client_hello'],
      ...['tls_raw_client_certificate', 'tls_client_cert_verify_result', 'tls_ja3_md5', 'tls_ja4', 'compliance_region'],
    ].map((name) => [`downstream_${name}`, downstreamFacts[`downstream_${name}`]!]),
  ),
  original_header_names_get: downstreamFacts.downstream_original_header_names!,
  original_header_count: downstreamFacts.downstream_original_header_count!,
  fastly_key_is_valid: downstreamFacts.fastly_key_is_valid!,
}
