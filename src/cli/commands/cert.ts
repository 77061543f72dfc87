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
  readonly notAfter: string
}

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
  const rows = certificates.map((one) => [one.id, one.names.join(', '), one.source, one.notAfter])
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
  readonly directory?: string
  readonly host: string[]
  readonly agree?: boolean
}

async function acme(flags: AcmeFlags, terminal: Terminal): Promise<void> {
  if (!flags.agree) throw new Complaint("--agree is needed: it says that you accept the authority's terms of service.")
  const body = {
    names: flags.host,
    termsAgreed: true,
    ...(flags.email !== undefined && { email: flags.email }),
    ...(flags.directory !== undefined && { directory: flags.directory }),
  }
  const made = await findNode(terminal, flags).json<unknown>('POST', `${path}/acme`, body)
  terminal.out(flags.json ? JSON.stringify(made, null, 2) : `Certificates for ${flags.host.join(', ')} come from ACME.`)
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
  nodeFlags(cert.command('acme').description('get certificates from an ACME authority'))
    .requiredOption('--host <host>', 'host name; may be repeated', collect, [])
    .option('--email <address>', 'contact for the authority')
    .option('--directory <url>', "the authority's directory, if not Let's Encrypt")
    .option('--agree', "accept the authority's terms of service")
    .action((flags) => acme(flags, terminal))
}
