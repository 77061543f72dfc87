/**
 * OpenTelemetry: a server span for each exchange, sent to a collector over OTLP/HTTP, with W3C Trace Context in and out.
 */
import type { Span } from '@opentelemetry/api'
import { headerValue } from '#/http/header-list.ts'
import type { AcceptedExchange } from './accepted.ts'

export interface RequestTraces {
  /** Starts a span and sets `exchange.traceparent`, which goes to the program or origin. */
  begin(exchange: AcceptedExchange): { end(): void }
  flush(): Promise<void>
  close(): Promise<void>
}

export interface RequestTracesOptions {
  /** Base URL as in `OTEL_EXPORTER_OTLP_ENDPOINT`; `/v1/traces` is added. */
  readonly endpoint: string
  readonly pop: { readonly id: string; readonly country: string }
  readonly headers?: Record<string, string>
}

const traceparentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/

/** The packages are loaded here and not before: who has no collector pays nothing for them. */
export async function createRequestTraces(options: RequestTracesOptions): Promise<RequestTraces> {
  const [api, sdk, { OTLPTraceExporter }, { resourceFromAttributes }] = await Promise.all([
    import('@opentelemetry/api'),
    import('@opentelemetry/sdk-trace'),
    import('@opentelemetry/exporter-trace-otlp-http'),
    import('@opentelemetry/resources'),
  ])
  const exporter = new OTLPTraceExporter({
    url: `${options.endpoint.replace(/\/$/, '')}/v1/traces`,
    ...(options.headers && { headers: options.headers }),
  })
  const provider = new sdk.TracerProvider({
    resource: resourceFromAttributes({
      'service.name': 'rimward',
      'service.instance.id': options.pop.id,
      'cloud.region': options.pop.country,
    }),
    spanProcessors: [new sdk.BatchSpanProcessor({ exporter, maxQueueSize: 4096, scheduledDelayMillis: 1000 })],
  })
  const tracer = provider.getTracer('rimward/edge')

  function begin(exchange: AcceptedExchange): { end(): void } {
    const parent = parseTraceparent(headerValue(exchange.headers, 'traceparent'))
    const context = parent === undefined ? api.ROOT_CONTEXT : api.trace.setSpanContext(api.ROOT_CONTEXT, parent)
    const span = tracer.startSpan(exchange.method, { kind: api.SpanKind.SERVER }, context)
    const { traceId, spanId, traceFlags } = span.spanContext()
    exchange.traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
    return { end: () => endSpan(span, exchange, api.SpanStatusCode.ERROR) }
  }

  return {
    begin,
    flush: () => provider.forceFlush(),
    close: () => provider.shutdown(),
  }
}

/** W3C Trace Context §3.2: a value that does not parse is as if absent; all zeros are invalid. */
export function parseTraceparent(
  value: string | undefined,
): { traceId: string; spanId: string; traceFlags: number; isRemote: true } | undefined {
  const match = value === undefined ? null : traceparentPattern.exec(value)
  if (match === null || /^0+$/.test(match[1]!) || /^0+$/.test(match[2]!)) return undefined
  return { traceId: match[1]!, spanId: match[2]!, traceFlags: Number.parseInt(match[3]!, 16) & 1, isRemote: true }
}

function endSpan(span: Span, exchange: AcceptedExchange, failed: number): void {
  const status = exchange.status ?? 0
  span.setAttributes({
    'http.request.method': exchange.method,
    'url.scheme': exchange.scheme,
    'server.address': exchange.host,
    ...(!exchange.withheld && { 'url.path': exchange.path.split('?', 1)[0]! }),
    'network.protocol.version': exchange.httpVersion,
    'http.response.status_code': status,
    'rimward.id': exchange.id,
    ...(exchange.site !== undefined && { 'rimward.site': exchange.site }),
    ...(exchange.program !== undefined && { 'rimward.program': exchange.program }),
    ...(exchange.start !== undefined && { 'rimward.start': exchange.start }),
    ...(exchange.error !== undefined && { 'error.type': exchange.error.code }),
  })
  if (status >= 500) span.setStatus({ code: failed })
  span.end()
}
