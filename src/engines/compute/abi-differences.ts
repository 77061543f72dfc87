/** Functions that are there only to say `unsupported`, or that nothing of the kind exists, and why. */
export const abiRefusals: Readonly<Record<string, string>> = {
  'fastly_http_req.redirect_to_grip_proxy': 'there is no GRIP proxy',
  'fastly_http_req.redirect_to_grip_proxy_v2': 'there is no GRIP proxy',
  'fastly_image_optimizer.transform_image_optimizer_request': 'images are not transformed',
  'fastly_shielding.shield_info': 'there are no shields: every name is unknown',
  'fastly_shielding.backend_for_shield': 'there are no shields: every name is unknown',
}

const nothingKnown = 'nothing is known: `none`'
/** Of the client, in both modules that ask for them. */
const clientDifferences: Readonly<Record<string, string>> = {
  client_oh_fingerprint: 'of the names of header fields in their order; how Fastly makes its own is not public',
  client_ddos_detected: 'always 0',
  tls_raw_client_certificate: 'no client is asked for a certificate: `none`',
  tls_client_cert_verify_result: 'no client is asked for a certificate: `certificate missing`',
  compliance_region: 'always `none`',
}
const neverFound = ['bot_name', 'bot_category', 'bot_category_kind', 'bot_verified', 'resvpnproxy_vpn_service_name']
const proxies = 'anonymous anonymous_vpn hosting_provider proxy_over_vpn public_proxy relay_proxy residential_proxy'
const moreProxies = 'smart_dns_proxy tor_exit_node vpn_datacenter'

function ofClient(module: string, names: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(names).map(([name, note]) => [`${module}.downstream_${name}`, note]))
}

/**
 * Where functions of the ABI do something else here than at Fastly, and why some are not there, by `module.name`
 * (`module.*`: of all that are not there).
 */
export const abiDifferences: Readonly<Record<string, string>> = {
  ...ofClient('fastly_http_req', clientDifferences),
  ...ofClient('fastly_http_downstream', clientDifferences),
  ...ofClient('fastly_http_downstream', {
    ...Object.fromEntries(neverFound.map((name) => [name, nothingKnown])),
    ...Object.fromEntries(
      `${proxies} ${moreProxies}`.split(' ').map((name) => [`resvpnproxy_is_${name}`, nothingKnown]),
    ),
    bot_analyzed: 'always 0: clients are not analysed',
    bot_detected: 'always 0: clients are not analysed',
  }),
  'fastly_http_req.inspect': 'no service has a workspace to be inspected in: the verdict is `unauthorized`',
  'fastly_http_req.on_behalf_of': 'only of the service itself: others’ caches are `unsupported`',
  'fastly_uap.*': 'deprecated; parse `User-Agent` in the program',
  'fastly_geo.lookup':
    'countries from a public-domain database; cities, coordinates and networks with the operator’s MaxMind files; nothing about connections and proxies',
  'fastly_device_detection.lookup': 'knows what the operator’s `devices.json` lists',
  'fastly_http_req.cache_override_v3_set': 'a time for the lookup is `unsupported`',
  'fastly_compute_runtime.has_domain_inspector': 'always 0',
  'fastly_compute_runtime.has_image_optimizer': 'always 0',
  'fastly_compute_runtime.has_origin_inspector': 'always 0',
  'fastly_kv_store.lookup_wait': 'the generation is 0, as at Fastly: `lookup_wait_v2` has it',
  'fastly_kv_store.insert': '`background_fetch` changes nothing',
  'fastly_kv_store.list': 'always strongly consistent',
  'fastly_log.endpoint_get': 'an endpoint that the service does not define writes to the node’s log',
  'fastly_log.write': 'lines above 16 KiB are cut',
  'fastly_erl.check_rate': 'counts at this point of presence, exactly, for one program',
  'fastly_erl.ratecounter_increment': 'counts at this point of presence, exactly, for one program',
}
