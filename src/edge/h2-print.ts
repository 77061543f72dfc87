/**
 * A name for kinds of HTTP/2 clients, from how they begin a connection: SETTINGS, WINDOW_UPDATE, PRIORITY frames and the
 * order of pseudo-fields, as in «Passive Fingerprinting of HTTP/2 Clients» (Akamai, 2017):
 * `1:65536;2:0;4:6291456;6:262144|15663105|0|m,a,s,p`.
 */

/** Of each part; a client that sends more is told by these. */
const most = 32

export class H2Print {
  readonly #settings: string[] = []
  readonly #priorities: string[] = []
  #window = '00'
  #text: string | undefined

  /** The first request has come: nothing more is added. */
  get text(): string | undefined {
    return this.#text
  }

  settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length && this.#settings.length < most; at += 6)
      this.#settings.push(`${payload.readUInt16BE(at)}:${payload.readUInt32BE(at + 2)}`)
  }

  window(increment: number): void {
    if (this.#window === '00') this.#window = String(increment)
  }

  /** Five bytes; the weight is one more than on the wire (RFC 7540 §6.3). */
  priority(stream: number, payload: Buffer): void {
    if (this.#priorities.length >= most) return
    const parent = payload.readUInt32BE(0)
    this.#priorities.push(`${stream}:${parent >>> 31}:${parent & 0x7fff_ffff}:${payload[4]! + 1}`)
  }

  /** `fields` of the first request: names and values in turn. */
  end(fields: readonly string[]): string {
    const order: string[] = []
    for (let index = 0; index < fields.length && fields[index]!.startsWith(':'); index += 2)
      if (order.length < most) order.push(fields[index]![1] ?? '')
    const priorities = this.#priorities.length === 0 ? '0' : this.#priorities.join(',')
    this.#text = `${this.#settings.join(';')}|${this.#window}|${priorities}|${order.join(',')}`
    return this.#text
  }
}
