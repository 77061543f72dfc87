/** `/rimward/v1/openapi.json`, made from the schemas that the routes themselves use. */
import { z } from 'zod'
import * as schemas from './schemas.ts'

export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'delete'
  /** Below `/rimward/v1`, parameters in braces. */
  readonly path: string
  readonly summary: string
  readonly body?: z.ZodType
  readonly status: 200 | 201 | 204
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
  { method: 'delete', path: '/sites/{name}', summary: 'Removes a CDN site.', status: 204 },
]

function jsonSchema(schema: z.ZodType, io: 'input' | 'output'): unknown {
  return z.toJSONSchema(schema, { target: 'openapi-3.0', unrepresentable: 'any', io })
}

function describeOperation(operation: Operation): object {
  const parameters = [...operation.path.matchAll(/\{(\w+)\}/g)].map((match) => ({
    name: match[1],
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
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
        description: 'A problem (RFC 9457).',
        content: { 'application/problem+json': { schema: jsonSchema(schemas.problemView, 'output') } },
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
