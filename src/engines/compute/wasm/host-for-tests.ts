/**
 * The few host calls that a program of the JavaScript SDK makes to answer one GET without headers, for tests and
 * measurements of this folder. The engine has the real ones.
 */
export interface TestHost {
  readonly imports: WebAssembly.Imports
  attach(memory: WebAssembly.Memory): void
  /** Called before each request: new handles, and the path that the program will see. */
  begin(path: string): void
  answer(): string
}

const unsupported = 9
const noneLeft = 10

/** Unknown calls answer `unsupported`; `called` hears the name of each. */
export function createTestHost(module: WebAssembly.Module, called: (name: string) => void = () => {}): TestHost {
  let memory: WebAssembly.Memory
  let path = '/'
  let body = ''
  const words = () => new DataView(memory.buffer)
  const put = (at: number, value: number) => words().setUint32(at, value, true)
  const putText = (text: string, at: number, room: number, length: number): number => {
    const bytes = Buffer.from(text)
    put(length, bytes.length)
    if (bytes.length > room) return 5
    new Uint8Array(memory.buffer).set(bytes, at)
    return 0
  }
  const handle = (value: number) => (out: number) => {
    put(out, value)
    return 0
  }
  const gather = (list: number, count: number, written: number): string => {
    let text = ''
    for (let at = list; at < list + count * 8; at += 8)
      text += Buffer.from(memory.buffer, words().getUint32(at, true), words().getUint32(at + 4, true)).toString()
    put(written, Buffer.byteLength(text))
    return text
  }
  const calls: Record<string, (...args: never[]) => unknown> = {
    body_downstream_get: (request: number, out: number) => handle(1)(request) + handle(2)(out),
    method_get: (_: number, at: number, room: number, length: number) => putText('GET', at, room, length),
    uri_get: (_: number, at: number, room: number, length: number) =>
      putText(`http://program.test${path}`, at, room, length),
    version_get: (_: number, out: number) => handle(2)(out),
    header_names_get: (_: number, _at: number, _room: number, _cursor: number, next: number, length: number) => {
      words().setBigInt64(next, -1n, true)
      put(length, 0)
      return 0
    },
    header_values_get: (
      _: number,
      _n: number,
      _l: number,
      _at: number,
      _r: number,
      _c: number,
      next: number,
      length: number,
    ) => {
      words().setBigInt64(next, -1n, true)
      put(length, 0)
      return 0
    },
    known_length: (_: number, out: number) => {
      words().setBigUint64(out, 0n, true)
      return 0
    },
    read: (_: number, _at: number, _room: number, length: number) => handle(0)(length),
    write: (_: number, at: number, length: number, _end: number, written: number) => {
      body += Buffer.from(memory.buffer, at, length).toString()
      put(written, length)
      return 0
    },
    fd_write: (_: number, list: number, count: number, written: number) => {
      const text = gather(list, count, written)
      if (process.env.RIMWARD_TEST_PROGRAM_OUTPUT === '1') process.stderr.write(text)
      return 0
    },
    new: handle(3),
    status_set: () => 0,
    status_get: (_: number, out: number) => {
      words().setUint16(out, 200, true)
      return 0
    },
    header_insert: () => 0,
    header_append: () => 0,
    framing_headers_mode_set: () => 0,
    send_downstream: () => 0,
    close: () => 0,
    next_request: () => noneLeft,
    clock_time_get: (_: number, _precision: bigint, out: number) => {
      words().setBigUint64(out, 1_700_000_000_000_000_000n, true)
      return 0
    },
    random_get: (at: number, length: number) => {
      new Uint8Array(memory.buffer, at, length).fill(7)
      return 0
    },
    environ_sizes_get: (count: number, bytes: number) => handle(0)(count) + handle(0)(bytes),
    environ_get: () => 0,
    args_sizes_get: (count: number, bytes: number) => handle(0)(count) + handle(0)(bytes),
    args_get: () => 0,
    proc_exit: (code: number) => {
      throw new Error(`exit ${code}`)
    },
  }
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {}
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    if (kind !== 'function') continue
    const call = calls[name] as ((...args: unknown[]) => unknown) | undefined
    imports[from] ??= {}
    imports[from][name] = (...args: unknown[]) => {
      called(`${from}.${name}`)
      return call === undefined ? unsupported : call(...args)
    }
  }
  return {
    imports,
    attach: (given) => {
      memory = given
    },
    begin: (given) => {
      path = given
      body = ''
    },
    answer: () => body,
  }
}
