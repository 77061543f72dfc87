import { differs, equal, fails, refused, until, works } from './case.js'

const absent = {
  base: 'clientAcceptEncoding clientTcpRtt edgeRequestKeepAliveStatus requestPriority tlsExportedAuthenticator',
  place: 'isEUCountry continent city postalCode latitude longitude timezone region regionCode metroCode',
}

const image = {
  own: 'quality format anim metadata draw origin-auth compression',
  basic:
    'width height gravity zoom fit trim background flip rotate sharpen blur contrast brightness gamma saturation dpr border segment upscale',
}
const hints =
  'originRangeRequests cacheReserveEligible respectStrongEtag stripEtags stripLastModified cacheDeceptionArmor cacheReserveMinimumFileSize scrapeShield apps grpcWeb minify mirage polish r2'

export const runtime = [
  works('CacheStorage: open default; Cache: put match delete; CacheQueryOptions: ignoreMethod', async () => {
    const key = 'https://cache.example/table'
    const named = await caches.open('named')
    await caches.default.put(key, new Response('kept', { headers: { 'cache-control': 'max-age=60' } }))
    equal(await (await caches.default.match(key)).text(), 'kept')
    equal(await named.match(key), undefined)
    const post = new Request(key, { method: 'POST' })
    equal(await caches.default.match(post), undefined)
    equal(await (await caches.default.match(post, { ignoreMethod: true })).text(), 'kept')
    equal([await caches.default.delete(key), await caches.default.delete(key)], [true, false])
  }),
  works('ExecutionContext: waitUntil passThroughOnException', async ({ ctx, env: { KV } }) => {
    ctx.waitUntil(KV.put('waited', 'yes'))
    ctx.passThroughOnException()
    equal(await until(() => KV.get('waited')), 'yes')
  }),
  works(
    'CloudflareWorkersModule.env: (); CloudflareWorkersModule.waitUntil: (); CloudflareWorkersModule.exports: (); CloudflareWorkersModule.withEnv: (); CloudflareWorkersModule.withExports: (); CloudflareWorkersModule.withEnvAndExports: ()',
    async ({ module, env }) => {
      equal(typeof module.env.KV.get, 'function')
      module.waitUntil(scheduler.wait(1))
      equal(await module.exports.Named.add(1, 1), 2)
      equal(
        module.withEnv({ WORD: 'other' }, () => module.env.WORD),
        'other',
      )
      equal(
        module.withExports({ a: 1 }, () => module.exports.a),
        1,
      )
      equal(
        module.withEnvAndExports({ a: 1 }, { b: 2 }, () => [module.env.a, module.exports.b]),
        [1, 2],
      )
      equal(env.KV !== undefined, true)
    },
  ),
  works(
    'ExecutionContext: tracing; Tracing: enterSpan startActiveSpan startSpan getActiveSpan withActiveSpan Span; Span: isTraced spanContext setAttribute setAttributes recordException updateName setStatus end; TracingSpanContext: traceId spanId traceFlags; TracingSpanStatus: code message; CloudflareWorkersModule.tracing: ()',
    async ({ ctx: { tracing }, module }) => {
      equal(
        module.tracing.enterSpan('outer', (span, given) => [span === module.tracing.getActiveSpan(), given], 7)[1],
        7,
      )
      const span = tracing.startSpan('inner')
      equal([typeof span.isTraced, span instanceof tracing.Span], ['boolean', true])
      const { traceId, spanId, traceFlags } = span.spanContext()
      equal([traceId.length, spanId.length, typeof traceFlags], [32, 16, 'number'])
      span.setAttribute('a', 1).setAttributes({ b: 'c' })
      span.recordException({ message: 'noted' })
      span.updateName('renamed')
      span.setStatus({ code: 'ok' })
      equal(
        [tracing.withActiveSpan(span, (x) => x, 1), tracing.startActiveSpan('active', (one) => one.end() ?? 2)],
        [1, 2],
      )
      span.end()
    },
  ),
  works('ExecutionContext: mapVirtualHost', async ({ ctx, env: { NAMED }, connect }) => {
    const host = ctx.mapVirtualHost(NAMED, 80)
    equal(/^[0-9a-f]+\.workers\.alt:80$/.test(host), true, host)
    equal(await new Response(connect(host).readable).text(), 'from a program')
  }),
  works('ExecutionContext: abort', ({ env: { NAMED } }) => fails(() => NAMED.end(), /ended on purpose/)),
  refused(
    'ExecutionContext: access; CloudflareAccessContext: aud getIdentity; CloudflareAccessIdentity: email name user_uuid account_id iat ip amr idp geo groups devicePosture is_warp is_gateway',
    'nobody is asked to sign in here',
    ({ ctx }) => equal(ctx.access, undefined),
  ),
  refused('ColoLocalActorNamespace: get', 'no binding gives it', ({ ctx }) => equal(ctx.exports.Facet.get, undefined)),
  works(
    'IncomingRequestCfPropertiesBase: colo httpProtocol; IncomingRequestCfPropertiesGeographicInformation: country',
    ({ request: { cf } }) => equal([cf.colo, cf.country, cf.httpProtocol], ['LOCAL', 'XX', 'HTTP/1.1']),
  ),
  refused(
    `IncomingRequestCfPropertiesBase: ${absent.base}; IncomingRequestCfPropertiesGeographicInformation: ${absent.place}; IncomingRequestCfPropertiesBotManagement: clientTrustScore; IncomingRequestCfPropertiesCloudflareForSaaSEnterprise: hostMetadata; IncomingRequestCfPropertiesCloudflareAccessOrApiShield: tlsClientAuth`,
    'absent: nobody here knows it',
    ({ request: { cf } }) => {
      for (const name of `${absent.base} ${absent.place} clientTrustScore hostMetadata tlsClientAuth`.split(' '))
        equal(cf[name], undefined, name)
    },
  ),
  refused(
    `RequestInitCfProperties: image resolveOverride vary cacheControl; RequestInitCfPropertiesImage: ${image.own}; BasicImageTransformations: ${image.basic}; BasicImageTransformationsGravityCoordinates: x y mode; RequestInitCfPropertiesImageDraw: url opacity repeat composite top left bottom right; RequestInitCfPropertiesVary: default headers; RequestInitCfPropertiesVaryHeader: action; RequestInitCfPropertiesVaryAcceptHeader: media_types; RequestInitCfPropertiesVaryAcceptLanguageHeader: languages; RequestInitCfPropertiesVaryHeaders: accept accept-language`,
    'answered with 400 by name',
    async () => {
      const wishes = {
        image: { width: 1 },
        resolveOverride: 'a.example',
        vary: { default: { action: 'bypass' } },
        cacheControl: 'max-age=1',
      }
      for (const [name, value] of Object.entries(wishes)) {
        const answer = await fetch('http://127.0.0.1:1/', { cf: { [name]: value } })
        equal([answer.status, (await answer.text()).includes(`cf.${name}`)], [400, true], name)
      }
    },
  ),
  differs(
    `RequestInitCfProperties: ${hints}; RequestInitCfPropertiesImageMinify: javascript css html; RequestInitCfPropertiesR2: bucketColoId`,
    'ignored, as at Cloudflare where they do not apply',
    async () => {
      for (const name of hints.split(' ')) {
        const value =
          name === 'minify'
            ? { javascript: true, css: true, html: true }
            : name === 'r2'
              ? { bucketColoId: 1 }
              : name === 'polish'
                ? 'lossy'
                : true
        // The address is refused, but the options are read first.
        const answer = await fetch('http://127.0.0.1:1/', { cf: { [name]: value } })
        equal(answer.status, 403, name)
        await answer.text()
      }
    },
  ),
  refused(
    'IncomingRequestCfPropertiesTLSClientAuth: *; IncomingRequestCfPropertiesTLSClientAuthPlaceholder: *; IncomingRequestCfPropertiesExportedAuthenticatorMetadata: *',
    'no client is asked for a certificate',
    ({ request: { cf } }) => equal([cf.tlsClientAuth, cf.tlsExportedAuthenticator], [undefined, undefined]),
  ),
  refused(
    'IncomingRequestCfPropertiesBotManagement: botManagement; IncomingRequestCfPropertiesBotManagementBase: *; IncomingRequestCfPropertiesBotManagementEnterprise: *',
    'no scores; over TLS `ja3Hash` and `ja4`',
    ({ request: { cf } }) => equal(cf.botManagement, undefined),
  ),
  differs(
    'IncomingRequestCfPropertiesBase: asn asOrganization',
    'with the operator’s MaxMind files',
    ({ request: { cf } }) => equal([cf.asn, cf.asOrganization], [undefined, undefined]),
  ),
]
