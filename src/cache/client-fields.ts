/**
 * What a client says of its way here, made harmless for an answer that others get too: no text of its own choice that an
 * origin could write into the answer.
 */
import { isIP } from 'node:net'

/** `X-Forwarded-For`: addresses alone; a port or brackets stay with theirs. Undefined when none is left. */
export function addressesOnly(value: string): string | undefined {
  return members(value, (member) => (isIP(bareAddress(member)) === 0 ? undefined : member))
}

function bareAddress(member: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d{1,5})?$/.exec(member)
  if (bracketed !== null) return bracketed[1]!
  return /^\d+\.\d+\.\d+\.\d+:\d{1,5}$/.test(member) ? member.slice(0, member.indexOf(':')) : member
}

/** RFC 9110 §7.6.3 lets a received-by be replaced by a pseudonym; ours stays, the others become one. */
export function viaWithoutNames(value: string): string | undefined {
  return members(value, (member) => {
    const [, protocol, name] = /^((?:HTTP\/)?\d(?:\.\d)?)\s+(\S+)/i.exec(member) ?? []
    if (protocol === undefined) return undefined
    return `${protocol} ${name === 'rimward' ? name : 'unnamed'}`
  })
}

/** RFC 8586 §2: pseudonyms of networks and their counters stay, so that a loop is still found; hosts and texts do not. */
export function loopWithoutHosts(value: string): string | undefined {
  return members(value, (member) => {
    const [name, ...parameters] = member.split(';').map((part) => part.trim())
    if (!/^[A-Za-z0-9_-]{1,32}$/.test(name!)) return undefined
    return [name, ...parameters.filter((parameter) => /^[a-z]{1,16}=[0-9.]{1,16}$/i.test(parameter))].join('; ')
  })
}

function members(value: string, keep: (member: string) => string | undefined): string | undefined {
  const kept: string[] = []
  for (const part of value.split(',')) {
    const member = keep(part.trim())
    if (member !== undefined) kept.push(member)
  }
  return kept.length === 0 ? undefined : kept.join(', ')
}
