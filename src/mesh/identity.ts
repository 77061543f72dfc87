/** Who this node is: its key, made once and never leaving the folder, and the certificate that names its place. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, randomUUID, X509Certificate } from 'node:crypto'
import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { EdgeError } from '#/core/errors.ts'
import type { Place } from '#/core/pops.ts'
import type { EpochMs } from '#/core/units.ts'
import { fingerprintOf } from './authority.ts'
import { placeOf } from './node-name.ts'

export interface Identity {
  readonly place: Place
  /** PEM. */
  readonly key: string
  readonly certificate: string
  readonly authority: string
  /** Of the public key. */
  readonly fingerprint: string
  readonly notBefore: EpochMs
  readonly notAfter: EpochMs
}

const keyFile = 'key.pem'
const certificateFile = 'certificate.pem'
const authorityFile = 'authority.pem'

/** PEM of this folder's private key; makes it where there is none. */
export async function obtainKey(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const found = await readIfThere(join(folder, keyFile))
  if (found !== undefined) return found
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  await writeWhole(join(folder, keyFile), pem, 0o600)
  return pem
}

/** `undefined` in a folder that holds no certificate yet. Rejects when its parts do not belong together. */
export async function readIdentity(folder: string): Promise<Identity | undefined> {
  const [key, certificate, authority] = await Promise.all(
    [keyFile, certificateFile, authorityFile].map((name) => readIfThere(join(folder, name))),
  )
  if (key === undefined || certificate === undefined || authority === undefined) return undefined
  return checkIdentity({ key, certificate, authority }, folder)
}

/** The certificate comes last: a folder has an identity once all of it is on disk. */
export async function writeIdentity(
  folder: string,
  parts: Pick<Identity, 'key' | 'certificate' | 'authority'>,
): Promise<Identity> {
  const identity = checkIdentity(parts, folder)
  await writeWhole(join(folder, authorityFile), parts.authority, 0o644)
  await writeWhole(join(folder, certificateFile), parts.certificate, 0o644)
  return identity
}

function checkIdentity(parts: Pick<Identity, 'key' | 'certificate' | 'authority'>, folder: string): Identity {
  const certificate = new X509Certificate(parts.certificate)
  const place = placeOf(certificate)
  const wrong = (why: string) =>
    new EdgeError('internal', `The certificate in ${folder} is of no use: ${why}. Remove the folder and join again.`)
  if (place === undefined) throw wrong('it names no node')
  if (!certificate.checkPrivateKey(createPrivateKey(parts.key))) throw wrong('it belongs to another key')
  if (!certificate.verify(new X509Certificate(parts.authority).publicKey)) throw wrong('another authority signed it')
  return {
    ...parts,
    place,
    fingerprint: fingerprintOf(createPublicKey(parts.key)),
    notBefore: certificate.validFromDate.getTime(),
    notAfter: certificate.validToDate.getTime(),
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

/** On disk whole, or not at all. */
export async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  const draft = `${file}.${randomUUID()}`
  const handle = await open(draft, 'wx', mode)
  try {
    await handle.writeFile(text)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(draft, file)
}
