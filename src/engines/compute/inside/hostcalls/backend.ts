/** `fastly_backend`: what a program may know of its backends. */
import type { BackendHealth, BackendHealthHead } from '../../fetch-protocol.ts'
import { asHead, type BackendFacts } from '../../protocol.ts'
import type { Hostcall, HostcallModule } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'
import { refuse, type Status, status } from '../status.ts'

function find({ program, backends }: Sandbox, name: string): BackendFacts | undefined {
  return backends.get(name) ?? program.facts.backends.find((one) => one.name === name)
}

function need(sandbox: Sandbox, pointer: number, length: number): BackendFacts {
  return find(sandbox, sandbox.memory.text(pointer, length)) ?? refuse(status.invalidArgument, 'no such backend')
}

/** A fact as a 32-bit number; undefined: none. */
function numberFact(read: (backend: BackendFacts, sandbox: Sandbox) => number | undefined): Hostcall {
  return (sandbox, name: number, length: number, out: number) => {
    const value = read(need(sandbox, name, length), sandbox)
    if (value === undefined) return status.none
    sandbox.memory.u32(out, value)
    return status.ok
  }
}

function textFact(read: (backend: BackendFacts) => string | undefined): Hostcall {
  return (sandbox, name: number, length: number, ...where: [number, number, number]) => {
    const value = read(need(sandbox, name, length))
    if (value === undefined) return status.none
    sandbox.memory.give(value, ...where)
    return status.ok
  }
}

/** `backend_health`. */
const healthNumber = { unknown: 0, healthy: 1, unhealthy: 2 } as const satisfies Record<BackendHealth, number>

export const backend: HostcallModule = {
  name: 'fastly_backend',
  waits: new Set(['is_healthy']),
  calls: {
    exists(sandbox, name: number, length: number, out: number) {
      sandbox.memory.u32(out, find(sandbox, sandbox.memory.text(name, length)) === undefined ? 0 : 1)
    },
    is_healthy(sandbox, name: number, length: number, out: number) {
      const head: BackendHealthHead = {
        do: 'backend-health',
        run: sandbox.run.run,
        backend: need(sandbox, name, length).name,
      }
      return sandbox.line.call(asHead(head), null).reply.then(
        (reply): Status => {
          sandbox.memory.u32(out, healthNumber[reply.head.health as BackendHealth])
          return status.ok
        },
        () => status.error,
      )
    },
    is_dynamic: numberFact(({ name }, { backends }) => (backends.has(name) ? 1 : 0)),
    get_host: textFact(({ host }) => host),
    get_override_host: textFact(({ overrideHost }) => overrideHost),
    get_port(sandbox, name: number, length: number, out: number) {
      sandbox.memory.u16(out, need(sandbox, name, length).port)
    },
    get_connect_timeout_ms: numberFact(({ connectTimeoutMs }) => connectTimeoutMs),
    get_first_byte_timeout_ms: numberFact(({ firstByteTimeoutMs }) => firstByteTimeoutMs),
    get_between_bytes_timeout_ms: numberFact(({ betweenBytesTimeoutMs }) => betweenBytesTimeoutMs),
    get_http_keepalive_time: numberFact(({ keepAliveMs }) => keepAliveMs),
    get_tcp_keepalive_enable: numberFact(({ tcpKeepAlive }) => (tcpKeepAlive === false ? 0 : 1)),
    get_tcp_keepalive_interval: numberFact(({ tcpKeepAlive }) =>
      tcpKeepAlive ? tcpKeepAlive.intervalMs / 1000 : undefined,
    ),
    get_tcp_keepalive_probes: numberFact(({ tcpKeepAlive }) => (tcpKeepAlive ? tcpKeepAlive.probes : undefined)),
    get_tcp_keepalive_time: numberFact(({ tcpKeepAlive }) => (tcpKeepAlive ? tcpKeepAlive.idleMs / 1000 : undefined)),
    is_ssl: numberFact(({ tls }) => (tls ? 1 : 0)),
    get_ssl_min_version: numberFact(({ minTlsVersion }) => minTlsVersion),
    get_ssl_max_version: numberFact(({ maxTlsVersion }) => maxTlsVersion),
  },
}
