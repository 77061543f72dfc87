import { randomInt } from 'node:crypto'

const letters = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** 22 letters and digits, as the ids of services and tables are. */
export function newId(): string {
  return Array.from({ length: 22 }, () => letters[randomInt(letters.length)]).join('')
}
