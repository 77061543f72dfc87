/** The part of `fastly_http_req` that says how a request is to be sent. */
import type { Hostcall } from '../hostcall.ts'
import { GuestRequest } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

/** `cache_override_tag`. */
const tags = { pass: 1, ttl: 2, staleWhileRevalidate: 4, pci: 8 } as const

function override(
  sandbox: Sandbox,
  handle: number,
  tag: number,
  ttl: number,
  stale: number,
  surrogateKey: string,
): void {
  if (tag >>> 0 > 15) refuse(status.invalidArgument, 'an unknown bit of the cache override')
  sandbox.handles.get(handle, GuestRequest).cacheOverride = {
    pass: (tag & tags.pass) !== 0,
    ttl: (tag & tags.ttl) !== 0 ? ttl >>> 0 : undefined,
    staleWhileRevalidate: (tag & tags.staleWhileRevalidate) !== 0 ? stale >>> 0 : undefined,
    pci: (tag & tags.pci) !== 0,
    surrogateKey,
  }
}

export const requestSettings: Readonly<Record<string, Hostcall>> = {
  cache_override_set(sandbox, handle: number, tag: number, ttl: number, stale: number) {
    override(sandbox, handle, tag, ttl, stale, '')
  },
  cache_override_v2_set(
    sandbox,
    handle: number,
    tag: number,
    ttl: number,
    stale: number,
    keys: number,
    length: number,
  ) {
    override(sandbox, handle, tag, ttl, stale, sandbox.memory.latin1(keys, length))
  },
  auto_decompress_response_set(sandbox, handle: number, encodings: number) {
    if (encodings >>> 0 > 1) refuse(status.invalidArgument, 'only gzip can be decoded')
    sandbox.handles.get(handle, GuestRequest).autoDecompress = encodings
  },
  framing_headers_mode_set(sandbox, handle: number, mode: number) {
    if (mode !== 0 && mode !== 1) refuse(status.invalidArgument)
    sandbox.handles.get(handle, GuestRequest).framing = mode
  },
  on_behalf_of(sandbox, handle: number) {
    sandbox.handles.get(handle, GuestRequest)
    refuse(status.unsupported, 'a service has no other cache than its own')
  },
  inspect: () => refuse(status.unsupported, 'requests are not inspected'),
}
