/** `register_dynamic_backend`: backends that a program describes itself (`dynamic_backend_config` of typenames.witx). */
import type { HealthCheck, TcpKeepAlive } from '#/core/origin.ts'
import type { AddBackendHead, DynamicBackend } from '../../fetch-protocol.ts'
import { usualTcpKeepAlive } from '../../program-facts.ts'
import { asHead, type BackendFacts } from '../../protocol.ts'
import { CallFailure } from '../../wire-messages.ts'
import type { Hostcall } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'
import { HostcallError, refuse, status } from '../status.ts'
import { GuestSecret } from './secret-store.ts'

/** `backend_config_options`. */
const bits = {
  reserved: 1 << 0,
  overrideHost: 1 << 1,
  connectTimeout: 1 << 2,
  firstByteTimeout: 1 << 3,
  betweenBytesTimeout: 1 << 4,
  tls: 1 << 5,
  minTls: 1 << 6,
  maxTls: 1 << 7,
  certificateHostname: 1 << 8,
  caCertificate: 1 << 9,
  ciphers: 1 << 10,
  sniHostname: 1 << 11,
  dontPool: 1 << 12,
  clientCertificate: 1 << 13,
  grpc: 1 << 14,
  keepAlive: 1 << 15,
  poolingLimits: 1 << 16,
  preferIpv4: 1 << 17,
  healthCheck: 1 << 18,
} as const

const allBits = (1 << 19) - 1

/** Where the fields of the record lie, bytes from its start. */
const at = {
  overrideHost: 0,
  connectTimeout: 8,
  firstByteTimeout: 12,
  betweenBytesTimeout: 16,
  minTls: 20,
  maxTls: 24,
  certificateHostname: 28,
  caCertificate: 36,
  ciphers: 44,
  sniHostname: 52,
  clientCertificate: 60,
  clientKey: 68,
  keepAlive: 72,
  tcpKeepAlive: 76,
  probeInterval: 80,
  probes: 84,
  probeAfter: 88,
  maxConnections: 92,
  maxUse: 96,
  maxLifetime: 100,
  healthCheck: 104,
} as const

/** The same of `healthcheck_config`. */
const atCheck = {
  interval: 0,
  timeout: 8,
  host: 16,
  method: 24,
  path: 32,
  expectedStatus: 40,
  window: 44,
  threshold: 48,
  initial: 52,
} as const

const longestName = 1024
const longestCertificate = 64 * 1024

/** Throws `invalid argument`. */
function readConfig(
  sandbox: Sandbox,
  given: { readonly name: string; readonly target: string; readonly mask: number; readonly record: number },
): DynamicBackend {
  const { mask, record } = given
  const has = (bit: keyof typeof bits) => (mask & bits[bit]) !== 0
  if (has('reserved') || (mask & ~allBits) !== 0) refuse(status.invalidArgument, 'an unknown option of a backend')
  const number = (offset: number) => sandbox.memory.readU32(record + offset)
  const text = (offset: number, most: number) => {
    const length = number(offset + 4)
    if (length > most) refuse(status.invalidArgument, 'too long')
    return sandbox.memory.text(number(offset), length)
  }
  const needed = (offset: number, most: number) => text(offset, most) || refuse(status.invalidArgument, 'empty')
  const tls = has('tls')
  // Without TLS nobody is shown a certificate.
  const key =
    tls && has('clientCertificate')
      ? Buffer.from(sandbox.handles.get(number(at.clientKey), GuestSecret).bytes).toString('utf8')
      : undefined
  return {
    name: given.name,
    target: given.target,
    tls,
    ...(has('overrideHost') && { overrideHost: needed(at.overrideHost, longestName) }),
    ...(has('connectTimeout') && { connectTimeoutMs: number(at.connectTimeout) }),
    ...(has('firstByteTimeout') && { firstByteTimeoutMs: number(at.firstByteTimeout) }),
    ...(has('betweenBytesTimeout') && { betweenBytesTimeoutMs: number(at.betweenBytesTimeout) }),
    ...(tls && has('minTls') && { minTlsVersion: number(at.minTls) }),
    ...(tls && has('maxTls') && { maxTlsVersion: number(at.maxTls) }),
    ...(tls && has('certificateHostname') && { certificateHostname: needed(at.certificateHostname, longestName) }),
    ...(tls && has('caCertificate') && { caCertificate: needed(at.caCertificate, longestCertificate) }),
    ...(tls && has('ciphers') && { ciphers: needed(at.ciphers, longestCertificate) }),
    ...(tls && has('sniHostname') && { sniHostname: text(at.sniHostname, longestName) }),
    ...(key !== undefined && { clientCertificate: needed(at.clientCertificate, longestCertificate), clientKey: key }),
    ...(has('keepAlive') && number(at.keepAlive) > 0 && { keepAliveMs: number(at.keepAlive) }),
    ...(has('keepAlive') && { tcpKeepAlive: readTcpKeepAlive(number) }),
    ...(has('grpc') && { grpc: true }),
    ...(has('healthCheck') && { healthCheck: readHealthCheck(sandbox, number(at.healthCheck)) }),
    ...(has('poolingLimits') && number(at.maxConnections) > 0 && { maxConnections: number(at.maxConnections) }),
    ...(has('poolingLimits') && number(at.maxUse) > 0 && { maxUse: number(at.maxUse) }),
    ...(has('poolingLimits') && number(at.maxLifetime) > 0 && { maxLifetimeMs: number(at.maxLifetime) }),
    ...(has('dontPool') && { maxUse: 1 }),
  }
}

function readTcpKeepAlive(number: (offset: number) => number): TcpKeepAlive | false {
  if (number(at.tcpKeepAlive) === 0) return false
  const { idleMs, intervalMs, probes } = usualTcpKeepAlive
  return {
    idleMs: number(at.probeAfter) * 1000 || idleMs,
    intervalMs: number(at.probeInterval) * 1000 || intervalMs,
    probes: number(at.probes) || probes,
  }
}

/** What it says is checked by the node. */
function readHealthCheck({ memory }: Sandbox, record: number): HealthCheck {
  const number = (offset: number) => memory.readU32(record + offset)
  const text = (offset: number) => {
    if (number(offset + 4) > longestName) refuse(status.invalidArgument, 'too long')
    return memory.text(number(offset), number(offset + 4))
  }
  return {
    method: text(atCheck.method) as HealthCheck['method'],
    path: text(atCheck.path),
    host: text(atCheck.host),
    expectedStatus: number(atCheck.expectedStatus),
    headers: {},
    timeoutMs: Number(memory.readU64(record + atCheck.timeout)),
    intervalMs: Number(memory.readU64(record + atCheck.interval)),
    threshold: number(atCheck.threshold),
    window: number(atCheck.window),
    initial: number(atCheck.initial),
  }
}

export const registerDynamicBackend: Hostcall = (
  sandbox,
  name: number,
  nameLength: number,
  target: number,
  targetLength: number,
  mask: number,
  record: number,
) => {
  const { memory, program, backends, limits } = sandbox
  const given = { name: memory.text(name, nameLength), target: memory.text(target, targetLength), mask, record }
  if (given.name === '' || given.name.length > longestName) refuse(status.invalidArgument)
  // Names are never used again: what a name means does not change while a program runs.
  if (backends.has(given.name) || program.facts.backends.some((one) => one.name === given.name))
    refuse(status.error, `there is a backend ${given.name} already`)
  if (backends.size >= limits.handles) refuse(status.limitExceeded, 'too many backends')
  return add(sandbox, readConfig(sandbox, given))
}

async function add(sandbox: Sandbox, backend: DynamicBackend): Promise<void> {
  const head: AddBackendHead = { do: 'backend-add', run: sandbox.run.run, backend }
  try {
    const reply = await sandbox.line.call(asHead(head), null).reply
    sandbox.backends.set(backend.name, reply.head as unknown as BackendFacts)
  } catch (failure) {
    if (failure instanceof CallFailure && failure.code !== 'cut')
      throw new HostcallError(status.invalidArgument, failure.message)
    throw failure
  }
}
