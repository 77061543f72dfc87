/** Names of what a TypeScript declaration file declares, and of the members of each: a reader of `.d.ts` files only. */

export interface Declaration {
  /** With its namespaces, e.g. `CloudflareWorkersModule.WorkflowStep`. */
  readonly name: string
  /** In order, each once: methods, properties and accessors; `new` for what is constructed, `()` for what is called or has no members. */
  readonly members: readonly string[]
}

const opening = '({[<'
const closing = ')}]>'

/** The text without comments and without what strings hold, so that brackets and semicolons mean what they say. */
const bare = (text: string): string =>
  text.replace(
    /\/\*[\s\S]*?\*\/|\/\/[^\n]*|(["'`])((?:\\.|(?!\1)[^\\])*)\1/g,
    (_, quote: string | undefined, inside) =>
      quote === undefined ? ' ' : `"${String(inside).replaceAll(/[^\w:.-]/g, '_')}"`,
  )

/** Statements of a body: each ends with a semicolon outside of brackets, or with the brace of a block. */
function* statements(text: string): Generator<string> {
  let depth = 0
  let from = 0
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]!
    if (opening.includes(sign)) depth++
    else if (closing.includes(sign) && !(sign === '>' && text[at - 1] === '=')) depth--
    const statement = text.slice(from, at + 1).trim()
    if (depth > 0 || !(sign === ';' || (sign === '}' && isBlock(statement)))) continue
    if (statement !== ';' && statement !== '') yield statement
    from = at + 1
  }
  // The last member of a literal type may go without its semicolon.
  const last = text.slice(from).trim()
  if (last !== '') yield last
}

const block =
  /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|namespace|module|function|type|const|let|var)\b/
const braced = /^(?:export )?(?:declare )?(?:abstract )?(?:class|interface|namespace|module)\b/
const isBlock = (statement: string) => braced.test(statement)

/** What stands between the braces that follow `at`, and where they end. */
function bodyAt(text: string, at: number): readonly [body: string, end: number] {
  let depth = 0
  for (let end = at; end < text.length; end++) {
    if (text[end] === '{') depth++
    else if (text[end] === '}' && --depth === 0) return [text.slice(at + 1, end), end + 1]
  }
  throw new Error(`a brace has no end: ${text.slice(at, at + 60)}`)
}

/** Bodies of braces outside of other brackets: of an interface one, of a union or intersection one for each part. */
function* bodies(statement: string): Generator<string> {
  /** Whether each bracket that is open only groups parts of a union or intersection. */
  const open: boolean[] = []
  for (let at = 0; at < statement.length; at++) {
    const sign = statement[at]!
    if (sign === '{' && open.every((groups) => groups)) {
      const [body, end] = bodyAt(statement, at)
      yield body
      at = end - 1
    } else if (opening.includes(sign)) open.push(sign === '(' && /[&|]\s*$/.test(statement.slice(0, at)))
    else if (closing.includes(sign) && !(sign === '>' && statement[at - 1] === '=')) open.pop()
  }
}

const memberName =
  /^(?:(?:export|public|protected|private|abstract|readonly|static|declare|get|set)\s+)*("[^"]+"|[\w$]+|\[Symbol\.\w+\])\s*\??\s*(?:[(:<;]|$)/

function nameOf(member: string): string | undefined {
  if (/^private\b|^#/.test(member)) return undefined
  if (member.startsWith('(') || member.startsWith('<')) return '()'
  const name = memberName.exec(member)?.[1]?.replaceAll('"', '')
  return name === 'constructor' ? 'new' : name
}

/** Every declaration of the text, in its order; what is declared twice is one, with the members of both. */
export function readDeclarations(text: string): ReadonlyMap<string, Declaration> {
  const found = new Map<string, Declaration>()
  collect(bare(text), '', found)
  return found
}

function collect(text: string, prefix: string, found: Map<string, Declaration>): void {
  for (const statement of statements(text)) {
    const head =
      /^(?:export )?(?:declare )?(?:abstract )?(class|interface|namespace|module|type|function|const)\s+("?[\w:.-]+"?)/.exec(
        statement,
      )
    if (head === null || !block.test(statement)) continue
    const name = `${prefix}${head[2]!.replaceAll('"', '').replace(/:$/, '')}`
    if (head[1] === 'namespace' || head[1] === 'module') {
      collect([...bodies(statement)].join('\n'), `${name}.`, found)
      continue
    }
    const members = [...bodies(statement)].flatMap((body) => [...statements(body)].map(nameOf))
    const known = found.get(name)?.members ?? []
    const names: readonly string[] =
      members.length === 0 && (head[1] === 'function' || head[1] === 'const')
        ? ['()']
        : members.filter((member) => member !== undefined)
    found.set(name, { name, members: [...new Set([...known, ...names])] })
  }
}
