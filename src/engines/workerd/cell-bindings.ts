/**
 * A deployment's bindings as workerd's own kinds: stores and assets are services of the backplane, other programs and
 * their objects are reached through forwarders in the same cell.
 */
import type { Binding, Deployment, ProgramName } from '#/core/snapshot.ts'
import type { CapnpValue } from './capnp.ts'
import { backplane, backplaneCalls, type CellBuilder, ourModules, refusal, serviceOf } from './cell-config.ts'
import { hasObjectsEnv, objectRoute } from './cell-objects.ts'
import { everywhereTarget } from './everywhere-pops.ts'
import { type InsideModule, insideModule } from './inside-module.ts'

/** `Worker.bindings` of workerd.capnp. Rejects a binding that cannot hold with an `EdgeError` that names it. */
export function bindingsOf(builder: CellBuilder, deployment: Deployment): CapnpValue[] {
  return deployment.bindings.map((binding) => ({ name: binding.name, ...memberOf(builder, deployment, binding) }))
}

type Member = { readonly [field: string]: CapnpValue }

function memberOf(builder: CellBuilder, deployment: Deployment, binding: Binding): Member {
  switch (binding.kind) {
    case 'text':
      return { text: binding.text }
    case 'json':
      return { json: binding.json }
    case 'secret':
      return { text: builder.plan.open(binding.sealed) }
    case 'held':
      throw refusal(deployment, `binds ${binding.name}, whose value was not read`)
    case 'version':
      return { json: JSON.stringify(versionOf(deployment)) }
    case 'kv':
      return { kvNamespace: backplane(builder, 'kv', binding.store) }
    case 'queue':
      return { queue: backplane(builder, 'queue', `${binding.queue}/${binding.delayS ?? ''}`) }
    case 'bucket':
      return { r2Bucket: backplane(builder, 'bucket', binding.bucket) }
    case 'assets':
      if (deployment.assets === undefined) throw refusal(deployment, `binds assets as ${binding.name} but has none`)
      return { service: backplane(builder, 'assets', deployment.id) }
    case 'program':
      return { service: serviceBinding(builder, deployment, binding) }
    case 'objects':
      return { durableObjectNamespace: objectsBinding(builder, deployment, binding) }
    case 'blob':
      return blobBinding(builder, deployment, binding)
    case 'dataset':
      // The runtime takes it for an experiment, which proofs are not allowed.
      if (builder.plan.purpose === 'prove') return { service: nobody(builder) }
      return wrapped(builder, 'dataset', [
        { name: 'native', analyticsEngine: backplane(builder, 'dataset', binding.dataset) },
      ])
    case 'rate-limit':
      return rateLimitBinding(builder, binding)
    case 'sql': {
      const inner = [{ name: 'fetcher', service: backplane(builder, 'sql', binding.database) }]
      return { wrapped: { moduleName: 'cloudflare-internal:d1-api', innerBindings: inner } }
    }
    case 'workflow': {
      const inner = [{ name: 'fetcher', service: workflowService(builder, binding.workflow) }]
      return { wrapped: { moduleName: 'cloudflare-internal:workflows-api', innerBindings: inner } }
    }
    case 'stored-secret': {
      const service = backplane(builder, 'secret', `${binding.store}/${binding.secret}`)
      return wrapped(builder, 'stored-secret', [{ name: 'wire', service }])
    }
    case 'server':
      return serverBinding(builder, deployment, binding)
    case 'certificate':
      return { service: backplane(builder, 'certificate', `${deployment.program}/${binding.certificate}`) }
    case 'dispatch':
      return dispatchBinding(builder, binding)
    case 'loader':
      // Without other cells the runtime has no loader; nothing is loaded for a proof.
      return builder.plan.purpose === 'prove' ? { service: nobody(builder) } : { workerLoader: {} }
  }
}

/** A binding in the shape that `inside/NAME.worker.ts` gives it: its default export is called with `inner` as one object. */
function wrapped(builder: CellBuilder, name: InsideModule, inner: readonly CapnpValue[]): Member {
  return { wrapped: { moduleName: builder.extension(name), innerBindings: inner } }
}

/** The runtime makes the address of it that programs see, and connects to ours. */
function serverBinding(
  builder: CellBuilder,
  deployment: Deployment,
  { name, server }: Extract<Binding, { kind: 'server' }>,
): Member {
  const { door, serverOf, open } = builder.plan
  const known = serverOf?.(server)
  // A proof reaches no database, and the address says so.
  const { scheme, database, user, password } = known ?? unknownServer
  const path = door?.('server', deployment.program, server) ?? builder.plan.backplane
  const designator = builder.service(`server:${name}`, { external: { address: `unix:${path}`, tcp: {} } })
  // The runtime writes them into `connectionString` as they are, and programs read that above all.
  const encoded = {
    database: encodeURIComponent(database),
    user: encodeURIComponent(user),
    password: password === undefined ? '' : encodeURIComponent(open(password)),
  }
  return { hyperdrive: { designator, ...encoded, scheme } }
}

const unknownServer = { scheme: 'postgresql', database: 'unknown', user: 'unknown', password: undefined }

function rateLimitBinding(builder: CellBuilder, binding: Extract<Binding, { kind: 'rate-limit' }>): Member {
  const { namespace, limit, periodS: period } = binding
  return wrapped(builder, 'rate-limit', [
    { name: 'wire', service: backplane(builder, 'rate-limit', namespace) },
    { name: 'defaults', json: JSON.stringify({ limit, period }) },
  ])
}

/** What `version_metadata` gives: `{ id, tag, timestamp }`. */
function versionOf(deployment: Deployment): object {
  return { id: deployment.id, tag: deployment.tag ?? '', timestamp: new Date(deployment.createdAt).toISOString() }
}

function serviceBinding(
  builder: CellBuilder,
  deployment: Deployment,
  binding: Extract<Binding, { kind: 'program' }>,
): CapnpValue {
  const { program, entrypoint, props } = binding
  const everywhere = everywhereTarget(binding)
  if (everywhere !== undefined) return { name: everywhereForward(builder), props: { json: JSON.stringify(everywhere) } }
  const given = { ...(entrypoint === undefined ? {} : { entrypoint }) }
  if (program === deployment.program) {
    const own = props === undefined ? {} : { props: { json: props } }
    return { name: serviceOf(deployment), ...given, ...own }
  }
  const target = { program, ...given, ...(props === undefined ? {} : { props: JSON.parse(props) as unknown }) }
  return { name: serviceForward(builder), props: { json: JSON.stringify(target) } }
}

function objectsBinding(
  builder: CellBuilder,
  deployment: Deployment,
  binding: Extract<Binding, { kind: 'objects' }>,
): CapnpValue {
  const { className, program } = binding
  const { plan } = builder
  if (hasObjectsEnv(plan, deployment)) return { className, serviceName: objectRoute(builder, deployment, binding) }
  if (program !== undefined && program !== deployment.program)
    return { className, serviceName: objectForward(builder, deployment, program, className) }
  if (!plan.program.objects.some((namespace) => namespace.className === className))
    throw refusal(deployment, `binds ${binding.name} to the class ${className}, which no migration created`)
  const lead = plan.deployments[0]!
  return lead === deployment ? { className } : { className, serviceName: serviceOf(lead) }
}

function blobBinding(
  builder: CellBuilder,
  deployment: Deployment,
  binding: Extract<Binding, { kind: 'blob' }>,
): Member {
  const file = builder.file(`m-${binding.blob}`, { blob: binding.blob })
  if (binding.type === 'text') return { text: file }
  if (binding.type === 'data') return { data: file }
  if (deployment.code?.syntax === 'script') return { wasmModule: file }
  throw refusal(
    deployment,
    `binds ${binding.name} as wasm_module, which only service-worker syntax has: import the file`,
  )
}

function dispatchBinding(
  builder: CellBuilder,
  { namespace, outbound }: Extract<Binding, { kind: 'dispatch' }>,
): Member {
  const props = { namespace, ...(outbound && { outbound: outbound.program }) }
  const service = { name: dispatchForward(builder), props: { json: JSON.stringify(props) } }
  return wrapped(builder, 'dispatch', [
    { name: 'forward', service },
    { name: 'parameters', json: JSON.stringify(outbound?.parameters ?? null) },
  ])
}

/** Of every forwarder of ours. */
export const forwarder = { compatibilityDate: '2026-01-01', compatibilityFlags: ['experimental'] }

/** What every forwarder of ours is bound to. */
export function forwarderBindings(builder: CellBuilder): CapnpValue[] {
  return [
    { name: 'cells', workerdDebugPort: null },
    { name: 'reach', service: backplane(builder, 'reach', builder.plan.program.name) },
  ]
}

/** Proofs reach nobody: the binding then leads to an entrypoint that does nothing. */
function nobody(builder: CellBuilder): string {
  const esModule = builder.file('nobody.js', { text: 'export default { fetch: () => new Response() }' })
  return builder.service('nobody', {
    worker: { modules: [{ name: 'nobody.js', esModule }], compatibilityDate: '2026-01-01' },
  })
}

function serviceForward(builder: CellBuilder): string {
  if (builder.plan.purpose === 'prove') return nobody(builder)
  const esModule = builder.file('service-forward.js', { text: insideModule('service-forward') })
  return builder.service('forward', {
    worker: {
      modules: [{ name: 'main.js', esModule }],
      ...forwarder,
      bindings: [...forwarderBindings(builder), { name: 'calls', service: backplaneCalls(builder) }],
    },
  })
}

function dispatchForward(builder: CellBuilder): string {
  if (builder.plan.purpose === 'prove') return nobody(builder)
  const modules = ourModules(builder, ['dispatch-forward', 'service-forward'])
  const files = { name: 'files', service: backplaneCalls(builder, 'files') }
  return builder.service('dispatch', {
    worker: { modules, ...forwarder, bindings: [...forwarderBindings(builder), files] },
  })
}

/** What the runtime's own binding calls, by the name of the workflow. */
function workflowService(builder: CellBuilder, workflow: string): string {
  const names = ['workflow-binding', 'workflow-steps', 'workflow-values'] as const
  const wire = { name: 'wire', service: backplane(builder, 'workflow', workflow) }
  return builder.service(`binding:${workflow}`, {
    worker: {
      modules: ourModules(builder, names),
      compatibilityDate: forwarder.compatibilityDate,
      bindings: [wire],
    },
  })
}

function everywhereForward(builder: CellBuilder): string {
  if (builder.plan.purpose === 'prove') return nobody(builder)
  const modules = ourModules(builder, ['own-everywhere', 'everywhere'])
  return builder.service('everywhere', { worker: { modules, ...forwarder, bindings: forwarderBindings(builder) } })
}

/** One forwarding worker for each other program whose objects are bound; it has a class for each of that program's. */
function objectForward(builder: CellBuilder, deployment: Deployment, program: ProgramName, className: string): string {
  const namespaces = builder.plan.objectsOf(program) ?? []
  if (!namespaces.some((namespace) => namespace.className === className))
    throw refusal(deployment, `binds the class ${className} of ${program}, which has no such class`)
  const proof = builder.plan.purpose === 'prove'
  const exported = namespaces.map(({ className: name }) =>
    proof
      ? `export class ${identifier(name)} extends DurableObject {}`
      : `export const ${identifier(name)} = forwardObject(${JSON.stringify(program)}, ${JSON.stringify(name)})`,
  )
  const head = proof
    ? `import { DurableObject } from 'cloudflare:workers'`
    : `import { forwardObject } from './object-forward.js'`
  const main = builder.file(`objects-${program}.js`, { text: [head, ...exported, 'export default {}', ''].join('\n') })
  const modules: CapnpValue[] = [{ name: 'main.js', esModule: main }]
  if (!proof) {
    const esModule = builder.file('object-forward.js', { text: insideModule('object-forward') })
    modules.push({ name: 'object-forward.js', esModule })
  }
  return builder.service(`objects:${program}`, {
    worker: {
      modules,
      ...(proof
        ? { compatibilityDate: forwarder.compatibilityDate }
        : { ...forwarder, bindings: forwarderBindings(builder) }),
      durableObjectNamespaces: namespaces.map(({ className: name, key, storage }) => ({
        className: name,
        uniqueKey: key,
        enableSql: storage === 'sqlite',
      })),
      durableObjectStorage: { inMemory: null },
    },
  })
}

/** A class name that goes into source text: nothing but an identifier may. */
export function identifier(name: string): string {
  if (!/^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(name)) throw new TypeError(`${name} is no class name.`)
  return name
}
