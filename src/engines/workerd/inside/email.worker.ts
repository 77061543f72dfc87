/**
 * What the runtime makes `cloudflare:email` of; it leaves that to its host, and without it an import of the module fails. No mail is
 * sent or received here, but libraries import it all the same.
 */
class EmailMessage {
  readonly from: string
  readonly to: string

  constructor(from: string, to: string, _raw: ReadableStream | string) {
    this.from = from
    this.to = to
  }
}

export default { EmailMessage }
