/**
 * Keys that clients seal a secret with before they send it: made on request, signed, and forgotten after a while or with
 * the process. https://www.fastly.com/documentation/reference/api/services/resources/secret-store/
 */
import { generateKeyPairSync, sign } from 'node:crypto'
import type { ClientKeys } from '#/core/item-stores.ts'
import type { Limits } from '#/core/limits.ts'
import type { Clock, EpochMs } from '#/core/units.ts'
import { openSealedBox, rawKeys } from './sealed-box.ts'

export function createClientKeys({
  limits,
  clock,
}: {
  readonly limits: Pick<Limits, 'secretClientKeys' | 'secretClientKeyMs'>
  readonly clock: Clock
}): ClientKeys {
  const signer = generateKeyPairSync('ed25519')
  const issued = new Map<string, { readonly secret: Uint8Array; readonly expiresAt: EpochMs }>()
  return {
    signingKey: signer.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32),
    issue() {
      const { publicKey, secret } = rawKeys(generateKeyPairSync('x25519'))
      const expiresAt = clock() + limits.secretClientKeyMs
      for (const [name, key] of issued)
        if (key.expiresAt <= clock() || issued.size >= limits.secretClientKeys) issued.delete(name)
        else break
      issued.set(publicKey.toString('hex'), { secret, expiresAt })
      return { publicKey, signature: sign(null, publicKey, signer.privateKey), expiresAt }
    },
    open(box, publicKey) {
      const key = issued.get(Buffer.from(publicKey).toString('hex'))
      if (key === undefined || key.expiresAt <= clock()) return undefined
      return openSealedBox(box, publicKey, key.secret)
    },
  }
}
