/** The part of `fastly_http_req` that says how a request is to be sent. */
import { GuestBody } from '../bodies.ts'
import type { Hostcall } from '../hostcall.ts'
import { GuestRequest } from '../messages.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, status } from '../status.ts'

/** `cache_override_tag`. */
const tags = { pass: 1, ttl: 2, staleWhileRevalidate: 4, pci: 8 } as const

const lookupTimeout = 16

type Four = [number, number, number, number]

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
  /** As the SDK for Rust has it since 0.13: all in a record, with how long to wait for who brings the answer. */
  cache_override_v3_set(sandbox, handle: number, tag: number, record: number) {
    const { memory } = sandbox
    if ((tag & lookupTimeout) !== 0) refuse(status.unsupported, 'a lookup has no time of its own')
    const [ttl, stale, keys, length] = [0, 4, 8, 12].map((at) => memory.readU32(record + at)) as Four
    override(sandbox, handle, tag, ttl, stale, memory.latin1(keys, length))
  },
  auto_decompress_response_set(sandbox, handle: number, encodings: number) {
    if (encodings >>> 0 > 1) refuse(status.invalidArgument, 'only gzip can be decoded')
    sandbox.handles.get(handle, GuestRequest).autoDecompress = encodings
  },
  framing_headers_mode_set(sandbox, handle: number, mode: number) {
    if (mode !== 0 && mode !== 1) refuse(status.invalidArgument)
    sandbox.handles.get(handle, GuestRequest).framing = mode
  },
  on_behalf_of(sandbox, handle: number, service: number, length: number) {
    const { handles, memory, program } = sandbox
    handles.get(handle, GuestRequest)
    if (memory.text(service, length) !== program.facts.service.id)
      refuse(status.unsupported, 'a service has no other cache than its own')
  },
  inspect(
    { handles, memory },
    request: number,
    body: number,
    mask: number,
    info: number,
    ...where: [number, number, number]
  ) {
    handles.get(request, GuestRequest)
    handles.get(body, GuestBody)
    const length = (bit: number, offset: number) => ((mask & bit) === 0 ? 0 : memory.readU32(info + offset))
    if (length(inspectBits.corp, 4) === 0 || length(inspectBits.workspace, 12) === 0)
      refuse(status.invalidArgument, 'a corp and a workspace are needed')
    const address = length(inspectBits.clientAddress, 20)
    if ((mask & inspectBits.clientAddress) !== 0 && address !== 4 && address !== 16) refuse(status.invalidArgument)
    memory.give(notInspected, ...where)
  },
}

/** `inspect_info_mask`. */
const inspectBits = { corp: 2, workspace: 4, clientAddress: 8 } as const

/** What a service hears that has no workspace to be inspected in: nothing was found, and nothing was looked for. */
const notInspected = JSON.stringify({
  waf_response: 200,
  redirect_url: '',
  tags: [],
  verdict: 'unauthorized',
  decision_ms: 0,
})
