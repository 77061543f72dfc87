/**
 * What a dispatcher grants a call: which outbound Worker sees its `fetch()`es, and how many there may be. It travels with the
 * call as a ticket that only this process can read or make, so nothing is kept here but counts.
 */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import type { Limits } from '#/core/limits.ts'
import type { ProgramName } from '#/core/snapshot.ts'

/** What `get(name, {}, options)` of a dispatch namespace wishes. */
export interface DispatchGrant {
  readonly subRequests?: number
  /** Parameters are the outbound Worker's alone. */
  readonly outbound?: { readonly program: ProgramName; readonly parameters: object }
}

export type Leaving =
  | { readonly kind: 'refused'; readonly why: string }
  | { readonly kind: 'granted'; readonly outbound?: DispatchGrant['outbound'] }

export interface DispatchedCalls {
  /** A ticket for one call of `program`; ASCII. */
  begin(program: ProgramName, grant: DispatchGrant): string
  /** Counts one request that `program` wants to send. */
  leave(program: ProgramName, ticket: string): Leaving
}

interface Ticket extends DispatchGrant {
  readonly id: string
  readonly program: ProgramName
}

const nonceBytes = 12
const tagBytes = 16

export function createDispatchedCalls(limits: Pick<Limits, 'dispatchedCounts'>): DispatchedCalls {
  const key = randomBytes(32)
  /** Requests sent, by ticket; of the latest calls with such a limit. */
  const sent = new Map<string, number>()

  function open(text: string): Ticket | undefined {
    const bytes = Buffer.from(text, 'base64url')
    if (bytes.length < nonceBytes + tagBytes) return undefined
    try {
      const cipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, nonceBytes))
      cipher.setAuthTag(bytes.subarray(-tagBytes))
      const opened = cipher.update(bytes.subarray(nonceBytes, -tagBytes))
      return JSON.parse(Buffer.concat([opened, cipher.final()]).toString()) as Ticket
    } catch {
      return undefined
    }
  }

  function mayCount(ticket: Ticket): boolean {
    const { id, subRequests } = ticket
    if (subRequests === undefined) return true
    const count = sent.get(id) ?? 0
    if (count >= subRequests) return false
    sent.set(id, count + 1)
    for (const oldest of sent.keys()) {
      if (sent.size <= limits.dispatchedCounts) break
      sent.delete(oldest)
    }
    return true
  }

  return {
    begin(program, grant) {
      const nonce = randomBytes(nonceBytes)
      const cipher = createCipheriv('aes-256-gcm', key, nonce)
      const ticket: Ticket = { id: randomUUID(), program, ...grant }
      const sealed = Buffer.concat([cipher.update(JSON.stringify(ticket)), cipher.final()])
      return Buffer.concat([nonce, sealed, cipher.getAuthTag()]).toString('base64url')
    },
    leave(program, text) {
      const ticket = open(text)
      if (ticket === undefined || ticket.program !== program)
        return { kind: 'refused', why: 'This fetch() belongs to no call of a dispatcher.' }
      if (!mayCount(ticket)) return { kind: 'refused', why: 'Too many subrequests.' }
      return { kind: 'granted', ...(ticket.outbound && { outbound: ticket.outbound }) }
    },
  }
}
