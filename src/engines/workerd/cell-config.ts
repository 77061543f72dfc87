/**
 * What a cell of its own is made of: a program, its deployments and their bindings, as a configuration for workerd.
 * Pure: bytes of modules come later, by the names in `files`.
 */
import type { DatabaseServer } from '#/core/database-servers.ts'
import { isDispatched } from '#/core/dispatch-names.ts'
import { EdgeError } from '#/core/errors.ts'
import type { BlobHash, Deployment, ObjectNamespace, Program, ProgramName, Sealed } from '#/core/snapshot.ts'
import { type CapnpValue, capnpText } from './capnp.ts'
import { bindingsOf, forwarder, forwarderBindings } from './cell-bindings.ts'
import { addHost, hasObjectsEnv, objectsEnvBindings, objectsEnvModules } from './cell-objects.ts'
import { flagsOf } from './code-bundle.ts'
import { type InsideModule, insideModule } from './inside-module.ts'
import type { DoorKind } from './program-doors.ts'

/** What `cellConfig` needs to know. */
export interface CellPlan {
  readonly program: Pick<Program, 'name' | 'objects'>
  /** At least one. The first implements the object classes, the others reach them through it. */
  readonly deployments: readonly Deployment[]
  /** Opens a sealed secret. */
  readonly open: (sealed: Sealed) => string
  /** Object classes of another program; `undefined` when there is no such program. */
  readonly objectsOf: (program: ProgramName) => readonly ObjectNamespace[] | undefined
  /** A database server of a binding, by the id of its resource; absent: nobody knows any. */
  readonly serverOf?: (id: string) => DatabaseServer | undefined
  /** Path of a unix socket of this cell. */
  readonly socket: (name: string) => string
  /** Path of the unix socket where stores, assets, egress and traces answer. */
  readonly backplane: string
  /**
   * Path of a unix socket that is known to be this program's, because what goes there cannot say so itself: `connect` takes
   * what `egress` does and TCP connections, `server` is a database's. Absent: neither can be reached.
   */
  readonly door?: (kind: DoorKind, program: ProgramName, id: string) => string
  /** Folder with one folder an object namespace, or memory that ends with the process. */
  readonly storage: { readonly folder: string } | 'memory'
  /** `prove`: alone, without other cells, and answering what it exports instead of serving. */
  readonly purpose: 'serve' | 'prove'
  /** Sends logs and exceptions to the backplane when it is told to; costs about 25 µs of CPU a request. */
  readonly tails: boolean
  /** One of many nodes. `runsObjects`: it holds the lease without which none of its objects may run. */
  readonly pops?: { readonly runsObjects: boolean }
  /** It answers as the outbound Worker of a dispatch namespace. */
  readonly outbound?: boolean
}

/** A file that the configuration embeds: text of ours, a blob, or both one after the other. */
export interface CellFile {
  readonly text?: string
  readonly blob?: BlobHash
}

export interface CellConfig {
  readonly config: string
  readonly files: ReadonlyMap<string, CellFile>
}

/** Name of the service that runs a deployment, in its cell. */
export function serviceOf(deployment: Pick<Deployment, 'id'>): string {
  return `program:${deployment.id}`
}

/** Name of the socket on which a deployment answers; `pulse` is the one of the tail service. */
export function socketOf(deployment: Pick<Deployment, 'id'>): string {
  return `d-${deployment.id.slice(0, 13)}`
}

const ownDate = '2026-01-01'

/** Rejects what cannot be configured with an `EdgeError` (`program_start_failed`) that names it. */
export function cellConfig(plan: CellPlan): CellConfig {
  const files = new Map<string, CellFile>()
  const services = new Map<string, CapnpValue>()
  const extensions = new Map<string, CapnpValue>()
  const builder: CellBuilder = {
    plan,
    file: (name, file) => {
      files.set(name, file)
      return { embed: name }
    },
    service: (name, value) => {
      services.set(name, { name, ...value })
      return name
    },
    extension: (module, name = `rimward-internal:${module}`) => {
      const esModule = builder.file(`${module}.js`, { text: insideModule(module) })
      extensions.set(name, { modules: [{ name, esModule, internal: true }] })
      return name
    },
  }
  for (const deployment of plan.deployments) {
    if (deployment.usesEmail) builder.extension('email', 'cloudflare-internal:email')
    addProgram(builder, deployment)
    // A copy is no leading version: it reaches the objects of the one that is.
    if (isDispatched(deployment) && plan.program.objects.length > 0 && plan.purpose === 'serve')
      addProgram(builder, { ...deployment }, dispatchedService(plan.program, deployment))
  }
  if (plan.purpose === 'serve') {
    addTail(builder)
    addEvents(builder)
  }
  if (plan.pops !== undefined) addHost(builder)
  const sockets = plan.deployments.map((deployment) => socket(plan, socketOf(deployment), serviceOf(deployment)))
  if (plan.purpose === 'serve') sockets.push(socket(plan, 'pulse', 'tail'), socket(plan, 'events', 'events'))
  const text = capnpText({
    services: [...services.values()],
    sockets,
    ...(extensions.size > 0 && { extensions: [...extensions.values()] }),
    v8Flags: ['--max-semi-space-size=1'],
  })
  return {
    config: `using Workerd = import "/workerd/workerd.capnp";\nconst config :Workerd.Config = ${text};\n`,
    files,
  }
}

/** Collects the services and files of one configuration; both are made once however often they are asked for. */
export interface CellBuilder {
  readonly plan: CellPlan
  file(name: string, file: CellFile): { readonly embed: string }
  service(name: string, value: Readonly<Record<string, CapnpValue>>): string
  /** Name of a module of ours that wraps bindings and that no program can import. */
  extension(module: InsideModule, name?: string): string
}

function socket(plan: CellPlan, name: string, service: string): CapnpValue {
  const http = { cfBlobHeader: 'rimward-cf', forwardedProtoHeader: 'rimward-proto' }
  return { name, address: `unix:${plan.socket(name)}`, http, service }
}

function addProgram(builder: CellBuilder, deployment: Deployment, name = serviceOf(deployment)): void {
  const { plan } = builder
  const { code } = deployment
  if (code === undefined) throw refusal(deployment, 'has no code to run')
  const isLead = deployment === plan.deployments[0]
  const proof = plan.purpose === 'prove'
  const front = hasFront(plan, deployment)
  const routed = hasObjectsEnv(plan, deployment)
  const objects = isLead ? plan.program.objects : []
  const called = isCalled(plan, deployment, name)
  const wrapped = front || routed || called || plan.outbound === true
  builder.service(name, {
    worker: {
      ...(code.syntax === 'script'
        ? scriptOf(builder, deployment)
        : { modules: modulesOf(builder, deployment, called) }),
      compatibilityDate: code.compatibilityDate,
      compatibilityFlags: wrapped ? flagsOf(deployment) : [...code.compatibilityFlags],
      bindings: [
        ...bindingsOf(builder, deployment),
        ...(front ? [purgeBinding(builder, deployment)] : []),
        ...(routed ? objectsEnvBindings(builder, deployment) : []),
      ],
      globalOutbound: called ? leaveService(builder, deployment) : wayOut(builder, deployment),
      ...(proof ? {} : { cacheApiOutbound: backplane(builder, 'cache', deployment.program) }),
      ...(objects.length === 0 ? {} : objectsIn(builder, objects)),
      ...(plan.tails && !proof
        ? { tails: [{ name: 'tail', props: { json: JSON.stringify({ deployment: deployment.id }) } }] }
        : {}),
    },
  })
}

/**
 * Is the service for calls of a dispatcher? One with objects has another beside it, since what objects do belongs to no call.
 * What may open sockets leaves as others do: it is granted nothing that would have to be seen.
 */
function isCalled({ program, purpose }: CellPlan, deployment: Deployment, name: string): boolean {
  if (purpose !== 'serve' || !isDispatched(deployment) || deployment.code?.syntax !== 'modules') return false
  return name === dispatchedService(program, deployment)
}

/** Name of the service that calls of a dispatcher go to. */
export function dispatchedService(program: Pick<Program, 'objects'>, deployment: Pick<Deployment, 'id'>): string {
  return program.objects.length > 0 ? `dispatched:${deployment.id}` : serviceOf(deployment)
}

function leaveService(builder: CellBuilder, deployment: Deployment): string {
  const network = wayOut(builder, deployment)
  if (deployment.usesSockets === true) return network
  return builder.service('leave', {
    worker: {
      modules: ourModules(builder, ['own-leave', 'leave', 'service-forward']),
      ...forwarder,
      bindings: [
        ...forwarderBindings(builder),
        { name: 'leave', service: backplane(builder, 'leave', deployment.program) },
        { name: 'network', service: network },
      ],
    },
  })
}

/** What its `fetch()` and `connect()` go to. */
function wayOut(builder: CellBuilder, { program, usesSockets }: Deployment): string {
  const path = usesSockets ? builder.plan.door?.('connect', program, '') : undefined
  return backplane(builder, 'egress', program, path)
}

/** A cache stands in front of it, so that it gets `ctx.cache`; scripts have no `ctx`. */
function hasFront({ purpose }: CellPlan, { frontCache, code }: Deployment): boolean {
  return frontCache !== undefined && purpose === 'serve' && code?.syntax === 'modules'
}

function purgeBinding(builder: CellBuilder, { program }: Deployment): CapnpValue {
  return { name: 'rimward:purge', service: backplane(builder, 'purge', program) }
}

function objectsIn(builder: CellBuilder, objects: readonly ObjectNamespace[]): Readonly<Record<string, CapnpValue>> {
  const { pops } = builder.plan
  const storage = pops?.runsObjects === false ? 'memory' : builder.plan.storage
  for (const { key } of objects)
    if (!/^[\w-]+$/.test(key)) throw new EdgeError('internal', 'The key of an object namespace is no folder name.')
  const durableObjectNamespaces = objects.map(({ className, key, storage: kind }) => ({
    className,
    uniqueKey: key,
    enableSql: kind === 'sqlite',
  }))
  if (storage === 'memory') return { durableObjectNamespaces, durableObjectStorage: { inMemory: null } }
  builder.service('objects', { disk: { path: storage.folder, writable: true } })
  return { durableObjectNamespaces, durableObjectStorage: { localDisk: 'objects' } }
}

const moduleMember = {
  esm: 'esModule',
  cjs: 'commonJsModule',
  text: 'text',
  data: 'data',
  json: 'json',
  wasm: 'wasm',
} as const

function modulesOf(builder: CellBuilder, deployment: Deployment, called: boolean): CapnpValue[] {
  const code = deployment.code!
  const main = code.modules.find((module) => module.name === code.mainModule)
  if (main === undefined) throw refusal(deployment, `has no module named ${code.mainModule}`)
  const others = code.modules.filter((module) => module !== main)
  const modules: CapnpValue[] = [main, ...others].map((module) => ({
    name: module.name,
    [moduleMember[module.kind]]: builder.file(`m-${module.blob}`, { blob: module.blob }),
  }))
  const front = hasFront(builder.plan, deployment)
  const routed = hasObjectsEnv(builder.plan, deployment)
  const outbound = builder.plan.outbound === true
  if (front || routed || called || outbound)
    return [...wrapperModules(builder, deployment, main.name, { front, routed, called, outbound }), ...modules]
  if (builder.plan.purpose === 'serve') return modules
  const added = [proofMain(main.name), insideModule('describe')].map((text, index) => ({
    name: proofNames[index]!,
    esModule: builder.file(`proof-${index}`, { text }),
  }))
  return [...added, ...modules]
}

/** The program's own main module behind ours, which give it what the runtime leaves to us. */
function wrapperModules(
  builder: CellBuilder,
  deployment: Deployment,
  mainModule: string,
  has: { readonly front: boolean; readonly routed: boolean; readonly called: boolean; readonly outbound: boolean },
): CapnpValue[] {
  const main = JSON.stringify(`./${mainModule}`)
  const objects = has.routed ? objectsEnvModules(builder, deployment) : undefined
  const fronts = [
    ...(has.called ? [['dispatched', 'dispatched'] as const] : []),
    ...(has.front ? [['front', 'withCache'] as const] : []),
    ...(has.outbound ? [['outbound', 'outbound'] as const] : []),
  ]
  const imports = fronts.map(([file, wrap]) => `import { ${wrap} } from './rimward-${file}.js'\n`)
  const text = `${imports.join('')}${objects?.before ?? ''}\
import * as program from ${main}
export * from ${main}
export default ${fronts.reduce((inner, [, wrap]) => `${wrap}(${inner})`, 'program.default ?? {}')}
${objects?.after ?? ''}`
  const kind = has.called ? 'dispatched' : 'front'
  return [
    { name: 'rimward-main.js', esModule: builder.file(`${kind}-${deployment.id}`, { text }) },
    ...fronts.map(([file]) => ({
      name: `rimward-${file}.js`,
      esModule: builder.file(`${file}.js`, { text: insideModule(file) }),
    })),
    ...(objects?.modules ?? []),
  ]
}

const proofNames = ['rimward-proof.js', 'rimward-describe.js'] as const

/** The program's own main module runs first, so that its errors come as they would without us. */
function proofMain(mainModule: string): string {
  return `import * as program from ${JSON.stringify(`./${mainModule}`)}
import { describeModule } from './${proofNames[1]}'
export * from ${JSON.stringify(`./${mainModule}`)}
export default { fetch: () => Response.json(describeModule(program)) }
`
}

/**
 * Records which events a script listens for, and answers with them; refuses traces, of which the runtime tells modules alone.
 * On the script's own first line, so that line numbers in its errors are right.
 */
export const scriptPrelude = `{const listen=globalThis.addEventListener,events=new Set();\
globalThis.addEventListener=function heard(type,...rest){if(type==='tail'||type==='trace'){\
const refused=new Error('a script in service-worker syntax is not told of '+type+' events: export tail() from an ES module');\
Error.captureStackTrace(refused,heard);throw refused}events.add(type);return listen(type,...rest)};\
listen('fetch',(event)=>{event.stopImmediatePropagation();event.respondWith(Response.json([\
{name:'default',kind:'handlers',handlers:[...events]}]))})}`.replaceAll('\\\n', '')

function scriptOf(builder: CellBuilder, deployment: Deployment): Readonly<Record<string, CapnpValue>> {
  const [script, ...others] = deployment.code!.modules
  if (script === undefined) throw refusal(deployment, 'has no script')
  if (others.length > 0)
    throw refusal(deployment, `is in service-worker syntax, which has one script; ${others[0]!.name} is one too many`)
  const { blob } = script
  const file: CellFile = builder.plan.purpose === 'prove' ? { text: scriptPrelude, blob } : { blob }
  return { serviceWorkerScript: builder.file(`script-${blob}`, file) }
}

function addTail(builder: CellBuilder): void {
  const { plan } = builder
  builder.service('tail', {
    worker: {
      modules: [{ name: 'tail.js', esModule: builder.file('tail.js', { text: insideModule('tail') }) }],
      compatibilityDate: ownDate,
      bindings: [...plan.deployments.map(({ id }) => ({ name: id, service: backplane(builder, 'trace', id) }))],
    },
  })
}

/** Modules of ours as a worker's; they import each other by their files' names. */
export function ourModules(builder: CellBuilder, names: readonly InsideModule[]): CapnpValue[] {
  return names.map((name) => ({
    name: `${name}.worker.ts`,
    esModule: builder.file(`${name}.js`, { text: insideModule(name) }),
  }))
}

/** What tells the versions of what is no request; no program is bound to it. */
function addEvents(builder: CellBuilder): void {
  builder.service('events', {
    worker: {
      modules: ourModules(builder, ['events', 'workflow-run', 'workflow-steps', 'workflow-values']),
      compatibilityDate: ownDate,
      compatibilityFlags: ['experimental', 'service_binding_extra_handlers'],
      bindings: [
        { name: 'cells', workerdDebugPort: null },
        ...builder.plan.deployments.flatMap((deployment) => [
          { name: deployment.id, service: { name: serviceOf(deployment) } },
          { name: `runs:${deployment.id}`, service: backplane(builder, 'workflow-run', deployment.program) },
        ]),
      ],
    },
  })
}

/**
 * A service of the backplane: `kind` says which, `id` which store (`kv`), deployment (`assets`, `trace`) or asking program
 * (all others). workerd writes both fields over whatever a program sends.
 */
export function backplane(builder: CellBuilder, kind: string, id: string, path = builder.plan.backplane): string {
  const injectRequestHeaders = [
    { name: 'rimward-kind', value: kind },
    { name: 'rimward-id', value: id },
  ]
  // `proxy`: the request line holds the whole URL, so that http is known from https.
  const style = { enumerant: ['egress', 'cache', 'certificate'].includes(kind) ? 'proxy' : 'host' }
  // Of what a program says in `cf` only its fetches are asked; workerd writes the field over what a program sends.
  const http = { style, injectRequestHeaders, ...(kind === 'egress' ? { cfBlobHeader: 'rimward-cf' } : {}) }
  return builder.service(`${kind}:${id}`, { external: { address: `unix:${path}`, http } })
}

/** As `backplane`: our forwarder in the cell writes the `id`, the program that is asked. */
export function backplaneCalls(builder: CellBuilder, kind: 'call' | 'files' = 'call'): string {
  const style = { enumerant: kind === 'call' ? 'proxy' : 'host' }
  const http = { style, injectRequestHeaders: [{ name: 'rimward-kind', value: kind }] }
  return builder.service(`asked:${kind}`, { external: { address: `unix:${builder.plan.backplane}`, http } })
}

/** Why a deployment cannot run, for its owner. */
export function refusal(deployment: Deployment, why: string): EdgeError {
  return new EdgeError('program_start_failed', `Version ${deployment.number} of ${deployment.program} ${why}.`)
}
