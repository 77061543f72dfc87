/**
 * What a cell of its own has more on a platform of many nodes: bindings to objects that lead to wherever an object lives,
 * and the host that calls from elsewhere meet first.
 */
import { idKey, jurisdictionCodes } from '#/core/object-ids.ts'
import type { Binding, Deployment, ObjectNamespace } from '#/core/snapshot.ts'
import type { CapnpValue } from './capnp.ts'
import { forwarder, forwarderBindings, identifier } from './cell-bindings.ts'
import { backplane, type CellBuilder, type CellPlan, refusal, serviceOf } from './cell-config.ts'
import { insideModule } from './inside-module.ts'

type ObjectsBinding = Extract<Binding, { kind: 'objects' }>

const objectsBindingsOf = ({ bindings }: Deployment) =>
  bindings.filter((binding): binding is ObjectsBinding => binding.kind === 'objects')

/** Scripts have no module of ours in front: they reach objects of other programs only, and without hints. */
export function hasObjectsEnv({ pops, program, purpose }: CellPlan, deployment: Deployment): boolean {
  if (pops === undefined || purpose !== 'serve' || deployment.code?.syntax !== 'modules') return false
  return program.objects.length > 0 || objectsBindingsOf(deployment).length > 0
}

function namespaceOf(builder: CellBuilder, deployment: Deployment, binding: ObjectsBinding): ObjectNamespace {
  const { program = deployment.program, className } = binding
  const own = program === builder.plan.program.name
  const found = (own ? builder.plan.program.objects : builder.plan.objectsOf(program))?.find(
    (namespace) => namespace.className === className,
  )
  if (found !== undefined) return found
  throw own
    ? refusal(deployment, `binds ${binding.name} to the class ${className}, which no migration created`)
    : refusal(deployment, `binds the class ${className} of ${program}, which has no such class`)
}

/** Name of the service whose classes stand for those of the bound program. */
export function objectRoute(builder: CellBuilder, deployment: Deployment, binding: ObjectsBinding): string {
  namespaceOf(builder, deployment, binding)
  const { program = deployment.program } = binding
  const { plan } = builder
  const own = program === plan.program.name
  const namespaces = own ? plan.program.objects : plan.objectsOf(program)!
  const exported = namespaces.flatMap(({ className }) => [
    `export const ${identifier(className)} = routeObject(${JSON.stringify(program)}, ${JSON.stringify(className)})`,
    ...(own ? [] : [`export class ${idsClass(className)} extends DurableObject {}`]),
  ])
  const main = [
    `import { DurableObject } from 'cloudflare:workers'`,
    `import { routeObject } from './object-route.js'`,
    ...exported,
    'export default {}',
    '',
  ].join('\n')
  const lead = serviceOf(plan.deployments[0]!)
  return builder.service(`route:${program}`, {
    worker: {
      modules: [
        { name: 'main.js', esModule: builder.file(`route-${program}.js`, { text: main }) },
        ourModule(builder, 'object-route.js', 'object-route'),
      ],
      ...forwarder,
      bindings: [
        ...forwarderBindings(builder),
        ...(own ? namespaces : []).map(({ className }) => ({
          name: `own:${className}`,
          durableObjectNamespace: { className, serviceName: lead },
        })),
      ],
      // workerd has one namespace a key; the ids that go to a route are names, so another key does no harm.
      durableObjectNamespaces: namespaces.flatMap(({ className, key }) => [
        { className, uniqueKey: `route-${key}`, enableSql: true },
        ...(own ? [] : [{ className: idsClass(className), uniqueKey: key, enableSql: true }]),
      ]),
      durableObjectStorage: { inMemory: null },
    },
  })
}

/** Stands for a class of another program where only ids are made. */
function idsClass(className: string): string {
  return identifier(`RimwardIdsOf${className}`)
}

function ourModule(builder: CellBuilder, name: string, file: Parameters<typeof insideModule>[0]): CapnpValue {
  return { name, esModule: builder.file(`${file}.js`, { text: insideModule(file) }) }
}

/** Under names that no binding can have; `objects-env` takes them away before the program's own modules run. */
export function objectsEnvBindings(builder: CellBuilder, deployment: Deployment): CapnpValue[] {
  const { plan } = builder
  const bound = objectsBindingsOf(deployment)
  const ids = bound.map((binding): CapnpValue => {
    const { className, program = deployment.program } = binding
    const lead = plan.deployments[0]!
    const own = program === plan.program.name
    const place = own
      ? { className, ...(lead === deployment ? {} : { serviceName: serviceOf(lead) }) }
      : { className: idsClass(className), serviceName: `route:${program}` }
    return { name: `rimward:ids:${binding.name}`, durableObjectNamespace: place }
  })
  const bindings = Object.fromEntries(
    bound.map((binding) => [
      binding.name,
      { idKey: idKey(namespaceOf(builder, deployment, binding).key).toString('hex') },
    ]),
  )
  const { name: program } = plan.program
  const told = { program, bindings, codes: jurisdictionCodes(), runs: plan.pops?.runsObjects === true }
  return [
    ...ids,
    { name: 'rimward:objects', json: JSON.stringify(told) },
    { name: 'rimward:reach', service: backplane(builder, 'reach', program) },
  ]
}

/** Source text before and after the import of the program, and the modules it needs. */
export function objectsEnvModules(builder: CellBuilder, deployment: Deployment) {
  const { plan } = builder
  const isLead = deployment === plan.deployments[0]
  const classes = (isLead ? plan.program.objects : []).map(({ className }) => identifier(className))
  const guarded = classes.map(
    (name) => `export const ${name} = guardObject(program.${name}, ${JSON.stringify(name)})\n`,
  )
  return {
    before: `import { guardObject } from './rimward-objects.js'\n`,
    after: guarded.join(''),
    modules: [
      ourModule(builder, 'rimward-objects.js', 'objects-env'),
      ourModule(builder, 'rimward-sha256.worker.ts', 'rimward-sha256'),
    ],
  }
}

/** The service `host`, which calls from other cells and nodes meet first. */
export function addHost(builder: CellBuilder): void {
  const { plan } = builder
  const lead = serviceOf(plan.deployments[0]!)
  builder.service('host', {
    worker: {
      modules: [ourModule(builder, 'own-host.js', 'own-host')],
      ...forwarder,
      bindings: [
        { name: 'lead', text: lead },
        { name: 'cells', workerdDebugPort: null },
        ...plan.program.objects.map(({ className, key }) => ({
          name: `objects:${key}`,
          durableObjectNamespace: { className, serviceName: lead },
        })),
      ],
    },
  })
}
