/** `rimward cert`: certificates of the TLS data plane. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { Complaint } from '../complaint.ts'
import { findNode, type NodeOptions } from '../find-node.ts'
import { nodeFlags } from '../node-flags.ts'
import { type Terminal, table } from '../terminal.ts'

interface CertFlags extends NodeOptions {
  readonly json?: boolean
}

interface CertificateView {
  readonly id: string
  readonly names: readonly string[]
  readonly source: string
  /** ISO 8601. */
  readonly notAfter: string
}

const letsEncrypt = 'https://acme-v02.api.letsencrypt.org/directory'

const path = '/rimward/v1/certificates'

function readPem(terminal: Terminal, flag: string, file: string): string {
  try {
    return readFileSync(resolve(terminal.folder, file), 'utf8')
  } catch (error) {
    throw new Complaint(`${flag}: ${(error as Error).message}`)
  }
}

async function list(flags: CertFlags, terminal: Terminal): Promise<void> {
  const { certificates } = await findNode(terminal, flags).json<{ certificates: CertificateView[] }>('GET', path)
  if (flags.json) return terminal.out(JSON.stringify(certificates, null, 2))
  if (certificates.length === 0) return terminal.out('There is no certificate; names get one from the local authority.')
  const rows = certificates.map((one) => [one.id, one.names.join(', '), one.source, one.notAfter.slice(0, 10)])
  for (const line of table([['ID', 'NAMES', 'SOURCE', 'VALID UNTIL'], ...rows])) terminal.out(line)
}

async function add(flags: CertFlags & { chain: string; key: string }, terminal: Terminal): Promise<void> {
  const body = { chain: readPem(terminal, '--chain', flags.chain), key: readPem(terminal, '--key', flags.key) }
  const made = await findNode(terminal, flags).json<CertificateView>('POST', path, body)
  terminal.out(flags.json ? JSON.stringify(made, null, 2) : `Certificate ${made.id} serves ${made.names.join(', ')}.`)
}

async function remove(id: string, flags: CertFlags, terminal: Terminal): Promise<void> {
  await findNode(terminal, flags).json<undefined>('DELETE', `${path}/${encodeURIComponent(id)}`)
  terminal.out(flags.json ? JSON.stringify({ removed: id }) : `Certificate ${id} is removed.`)
}

interface AcmeFlags extends CertFlags {
  readonly email?: string
  readonly directory: string
  readonly host: string[]
  readonly agree?: boolean
  readonly keyId?: string
  readonly hmacKey?: string
  readonly off?: boolean
}

function acmeSettings({ email, directory, host, agree, keyId, hmacKey }: AcmeFlags): object {
  if (host.length === 0) throw new Complaint('--host is needed: a name to get a certificate for; it may be repeated.')
  if (email === undefined)
    throw new Complaint('--email is needed: the authority writes there before a certificate ends.')
  if (!agree) throw new Complaint("--agree is needed: it says that you accept the authority's terms of service.")
  if ((keyId === undefined) !== (hmacKey === undefined)) throw new Complaint('--key-id and --hmac-key go together.')
  const account = keyId === undefined ? {} : { externalAccount: { keyId, hmacKey } }
  return { directoryUrl: directory, email, hostnames: host, termsAgreed: true, ...account }
}

async function acme(flags: AcmeFlags, terminal: Terminal): Promise<void> {
  if (flags.off) {
    await findNode(terminal, flags).json<unknown>('DELETE', '/rimward/v1/acme')
    terminal.out(
      flags.json ? JSON.stringify({ acme: false }) : 'ACME is off; certificates it gave stay until they end.',
    )
    return
  }
  const settings = acmeSettings(flags)
  const status = await findNode(terminal, flags).json<unknown>('PUT', '/rimward/v1/acme', settings)
  const orders = `Certificates for ${flags.host.join(', ')} are ordered; see "rimward cert list".`
  terminal.out(flags.json ? JSON.stringify(status, null, 2) : orders)
}

const collect = (one: string, all: string[]): string[] => [...all, one]

export function addCert(program: Command, terminal: Terminal): void {
  const cert = program.command('cert').description('certificates of the TLS data plane')
  nodeFlags(cert.command('list').description('list the certificates')).action((flags) => list(flags, terminal))
  nodeFlags(cert.command('add').description('add a certificate from PEM files'))
    .requiredOption('--chain <file>', 'certificate chain, leaf first')
    .requiredOption('--key <file>', 'private key')
    .action((flags) => add(flags, terminal))
  nodeFlags(cert.command('remove').argument('<id>').description('remove a certificate')).action((id: string, flags) =>
    remove(id, flags, terminal),
  )
  nodeFlags(cert.command('acme').description('get certificates from an ACME authority, and renew them'))
    .option('--host <host>', 'host name; may be repeated', collect, [])
    .option('--email <address>', 'contact for the authority')
    .option('--agree', "accept the authority's terms of service")
    .option('--directory <url>', "the authority's directory", letsEncrypt)
    .option('--key-id <id>', 'external account, where the authority wants one')
    .option('--hmac-key <key>', 'its key, base64url')
    .option('--off', 'order and renew nothing more')
    .action((flags) => acme(flags, terminal))
}
