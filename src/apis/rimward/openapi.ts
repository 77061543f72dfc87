/** `/rimward/v1/openapi.json`, made from the schemas that the routes themselves use. */
import { z } from 'zod'
import * as schemas from './schemas.ts'

export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  /** Below `/rimward/v1`, parameters in braces. */
  readonly path: string
  readonly summary: string
  readonly body?: z.ZodType
  /** Names of query parameters, all required. */
  readonly query?: readonly string[]
  readonly status: 200 | 201 | 202 | 204
  readonly result?: z.ZodType
  readonly contentType?: string
}

/** Every operation of `app.ts`; `app.test.ts` holds this list against the routes. */
export const operations: readonly Operation[] = [
  { method: 'get', path: '/openapi.json', summary: 'This description.', status: 200, result: z.looseObject({}) },
  {
    method: 'get',
    path: '/status',
    summary: 'State of this point of presence.',
    status: 200,
    result: schemas.statusView,
  },
  {
    method: 'get',
    path: '/pops',
    summary: 'Points of presence, and what each serves.',
    status: 200,
    result: z.object({ pops: z.array(schemas.popView) }),
  },
  {
    method: 'get',
    path: '/copies',
    summary: 'Copies that NATS servers hold of what the nodes share; 503 while NATS is out of reach.',
    status: 200,
    result: z.object({ copies: z.array(schemas.copiesView) }),
  },
  {
    method: 'delete',
    path: '/pops/{node}',
    summary: 'Removes a node that left for good: its links are cut, its certificate is of no use any more.',
    status: 204,
  },
  {
    method: 'post',
    path: '/invites',
    summary: 'An invitation for one machine to join the platform.',
    body: schemas.inviteBody,
    status: 201,
    result: schemas.invitation,
  },
  {
    method: 'get',
    path: '/rollout',
    summary: 'Which point of presence serves a change first.',
    status: 200,
    result: schemas.rolloutBody,
  },
  {
    method: 'put',
    path: '/rollout',
    summary: 'Has a point of presence serve each change first; null: all at once.',
    body: schemas.rolloutBody,
    status: 200,
    result: schemas.rolloutBody,
  },
  {
    method: 'get',
    path: '/programs',
    summary: 'Programs that are deployed here.',
    status: 200,
    result: z.object({ programs: z.array(schemas.programView) }),
  },
  {
    method: 'get',
    path: '/programs/{name}/logs',
    summary: 'Invocations as they happen; server-sent events when asked for by Accept, else one JSON object a line.',
    status: 200,
    result: schemas.logLine,
    contentType: 'application/x-ndjson',
  },
  {
    method: 'get',
    path: '/sites',
    summary: 'Sites: programs, origins and redirects.',
    status: 200,
    result: z.object({ sites: z.array(schemas.siteView) }),
  },
  {
    method: 'post',
    path: '/sites',
    summary: 'Adds a CDN site.',
    body: schemas.newSite,
    status: 201,
    result: schemas.siteView,
  },
  { method: 'get', path: '/sites/{name}', summary: 'One site.', status: 200, result: schemas.siteView },
  {
    method: 'patch',
    path: '/sites/{name}',
    summary: 'Changes a CDN site: what is absent stays, null takes away.',
    body: schemas.siteChange,
    status: 200,
    result: schemas.siteView,
  },
  {
    method: 'get',
    path: '/sites/{name}/origins',
    summary: 'How the origins of a site are doing at this point of presence.',
    status: 200,
    result: z.object({ origins: z.array(schemas.originStateView) }),
  },
  { method: 'delete', path: '/sites/{name}', summary: 'Removes a CDN site.', status: 204 },
  {
    method: 'post',
    path: '/purge',
    summary: 'Drops what the shared cache keeps; answered once nothing from before can answer any more.',
    body: schemas.purgeBody,
    status: 200,
    result: schemas.purgeReceipt.extend({ purged: z.boolean() }),
  },
  {
    method: 'get',
    path: '/purges/{id}',
    summary: 'The receipt of a purge: where it was applied when it was answered, and which nodes were away.',
    status: 200,
    result: schemas.purgeReceipt,
  },
  {
    method: 'get',
    path: '/egress-rules',
    summary: 'What programs may reach besides public addresses.',
    status: 200,
    result: z.object({ rules: z.array(schemas.egressRule) }),
  },
  {
    method: 'post',
    path: '/egress-rules',
    summary: 'Lets a program out to a private destination.',
    body: schemas.egressRule,
    status: 201,
    result: schemas.egressRule,
  },
  {
    method: 'delete',
    path: '/egress-rules',
    summary: 'Takes the permission back.',
    query: ['program', 'destination'],
    status: 204,
  },
  {
    method: 'get',
    path: '/residency',
    summary: 'Which countries things stay in; what is not listed may be anywhere.',
    status: 200,
    result: z.object({ residency: z.array(schemas.residencyView) }),
  },
  {
    method: 'put',
    path: '/residency',
    summary: 'Keeps a site, program, service, store or the log in its countries.',
    body: schemas.residencyWish,
    status: 200,
    result: schemas.residencyView,
  },
  {
    method: 'get',
    path: '/audit',
    summary: 'Where every byte lies, by looking at the disks of all nodes.',
    status: 200,
    result: schemas.auditView,
  },
  {
    method: 'get',
    path: '/certificates',
    summary: 'Certificates, without their keys.',
    status: 200,
    result: z.object({ certificates: z.array(schemas.certificateView) }),
  },
  {
    method: 'post',
    path: '/certificates',
    summary: 'Adds a certificate.',
    body: schemas.newCertificate,
    status: 201,
    result: schemas.certificateView,
  },
  { method: 'delete', path: '/certificates/{id}', summary: 'Removes a certificate.', status: 204 },
  { method: 'get', path: '/tls', summary: 'The local authority.', status: 200, result: z.looseObject({}) },
  {
    method: 'get',
    path: '/acme',
    summary: 'How the orders at the ACME authority go.',
    status: 200,
    result: z.looseObject({}),
  },
  {
    method: 'put',
    path: '/acme',
    summary: 'Orders certificates from an ACME authority, and renews them.',
    body: schemas.acmeSettings,
    status: 202,
    result: z.object({ configured: z.boolean() }),
  },
  { method: 'delete', path: '/acme', summary: 'Orders and renews nothing more.', status: 204 },
]

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): unknown {
  return z.toJSONSchema(schema, { target: 'openapi-3.0', unrepresentable: 'any', io })
}

function describeOperation(operation: Operation): object {
  const required = { required: true, schema: { type: 'string' } }
  const parameters = [
    ...[...operation.path.matchAll(/\{(\w+)\}/g)].map((match) => ({ name: match[1], in: 'path', ...required })),
    ...(operation.query ?? []).map((name) => ({ name, in: 'query', ...required })),
  ]
  const type = operation.contentType ?? 'application/json'
  return {
    summary: operation.summary,
    ...(parameters.length > 0 && { parameters }),
    ...(operation.body && {
      requestBody: { required: true, content: { 'application/json': { schema: jsonSchema(operation.body, 'input') } } },
    }),
    responses: {
      [operation.status]: {
        description: 'Done.',
        ...(operation.result && { content: { [type]: { schema: jsonSchema(operation.result, 'output') } } }),
      },
      default: {
        description: 'What is wrong.',
        content: { 'application/json': { schema: jsonSchema(schemas.problemView, 'output') } },
      },
    },
  }
}

/** The OpenAPI 3.0 document for the given operations. */
export function openapiDocument(version: string, all: readonly Operation[] = operations): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const operation of all) {
    const path = `/rimward/v1${operation.path}`
    paths[path] = { ...paths[path], [operation.method]: describeOperation(operation) }
  }
  return {
    openapi: '3.0.3',
    info: { title: 'Rimward', version, description: 'The API of a Rimward node, beside those of the vendors.' },
    security: [{ token: [] }],
    components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    paths,
  }
}
