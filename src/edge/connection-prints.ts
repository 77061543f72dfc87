/** What a connection's first bytes say of its client; worked out when somebody asks, which few programs do. */
import type { ClientPrints } from '#/core/exchange.ts'
import { type ClientHello, parseClientHello } from './client-hello.ts'
import { H2Print } from './h2-print.ts'
import { ja3, ja4 } from './hello-prints.ts'

export class ConnectionPrints implements ClientPrints {
  readonly hello: Uint8Array | undefined
  /** Made for HTTP/2. */
  h2: H2Print | undefined
  /** Where the connection was made to another node, which told. */
  readonly #toldHttp2: string | undefined
  #parsed: ClientHello | undefined
  #isParsed = false
  #ja3: string | undefined
  #ja4: string | undefined

  constructor(hello: Uint8Array | undefined, toldHttp2?: string) {
    this.hello = hello
    this.#toldHttp2 = toldHttp2
  }

  get ja3(): string | undefined {
    const hello = this.#read()
    if (hello !== undefined) this.#ja3 ??= ja3(hello)
    return this.#ja3
  }

  get ja4(): string | undefined {
    const hello = this.#read()
    if (hello !== undefined) this.#ja4 ??= ja4(hello)
    return this.#ja4
  }

  get random(): Uint8Array | undefined {
    return this.#read()?.random
  }

  get http2(): string | undefined {
    return this.h2?.text ?? this.#toldHttp2
  }

  beginHttp2(): H2Print {
    this.h2 = new H2Print()
    return this.h2
  }

  #read(): ClientHello | undefined {
    if (!this.#isParsed && this.hello !== undefined) this.#parsed = parseClientHello(this.hello)
    this.#isParsed = true
    return this.#parsed
  }
}
