/** `register_dynamic_backend`: backends that a program describes itself (`dynamic_backend_config` of typenames.witx). */
import type { AddBackendHead, DynamicBackend } from '../../fetch-protocol.ts'
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
  maxConnections: 92,
  maxUse: 96,
  maxLifetime: 100,
} as const

const longestName = 1024
const longestCertificate = 64 * 1024

/** Throws `invalid argument`, or `unsupported` for an option that would be dropped. */
function readConfig(
  sandbox: Sandbox,
  given: { readonly name: string; readonly target: string; readonly mask: number; readonly record: number },
): DynamicBackend {
  const { mask, record } = given
  const has = (bit: keyof typeof bits) => (mask & bits[bit]) !== 0
  if (has('reserved') || (mask & ~allBits) !== 0) refuse(status.invalidArgument, 'an unknown option of a backend')
  for (const bit of ['grpc', 'healthCheck'] as const)
    if (has(bit)) {
      sandbox.print('stderr', `register_dynamic_backend: the option ${bit} is not supported`)
      refuse(status.unsupported, `the option ${bit} of a backend`)
    }
  const number = (offset: number) => sandbox.memory.readU32(record + offset)
  const text = (offset: number, most: number) => {
    const length = number(offset + 4)
    if (length > most) refuse(status.invalidArgument, 'too long')
    return sandbox.memory.text(number(offset), length)
  }
  const needed = (offset: number, most: number) => text(offset, most) || refuse(status.invalidArgument, 'empty')
  const tls = has('tls')
  const key = has('clientCertificate')
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
    ...(has('poolingLimits') && number(at.maxConnections) > 0 && { maxConnections: number(at.maxConnections) }),
    ...(has('poolingLimits') && number(at.maxUse) > 0 && { maxUse: number(at.maxUse) }),
    ...(has('poolingLimits') && number(at.maxLifetime) > 0 && { maxLifetimeMs: number(at.maxLifetime) }),
    ...(has('dontPool') && { maxUse: 1 }),
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
