/** Functions that are there only to say `unsupported`, or that nothing of the kind exists, and why. */
export const abiRefusals: Readonly<Record<string, string>> = {
  'fastly_http_req.inspect': 'there is no inspection service',
  'fastly_http_req.on_behalf_of': 'a service has no other cache than its own',
  'fastly_http_req.redirect_to_grip_proxy': 'there is no GRIP proxy',
  'fastly_http_req.redirect_to_grip_proxy_v2': 'there is no GRIP proxy',
  'fastly_image_optimizer.transform_image_optimizer_request': 'images are not transformed',
  'fastly_shielding.shield_info': 'there are no shields: every name is unknown',
  'fastly_shielding.backend_for_shield': 'there are no shields: every name is unknown',
}

/**
 * Where functions of the ABI do something else here than at Fastly, and why some are not there, by `module.name`
 * (`module.*`: of all that are not there).
 */
export const abiDifferences: Readonly<Record<string, string>> = {
  'fastly_uap.*': 'deprecated; parse `User-Agent` in the program',
  'fastly_http_resp.get_addr_dest_ip': 'not known: `none`',
  'fastly_http_resp.get_addr_dest_port': 'not known: `none`',
  'fastly_geo.lookup':
    'countries from a public-domain database; cities, coordinates and networks with the operator’s MaxMind files; nothing about connections and proxies',
  'fastly_device_detection.lookup': 'knows what the operator’s `devices.json` lists',
  'fastly_kv_store.lookup': 'keys of up to 512 bytes, not 1024',
  'fastly_kv_store.lookup_wait': 'the generation is 0, as at Fastly: `lookup_wait_v2` has it',
  'fastly_kv_store.insert': 'keys of up to 512 bytes, metadata of 1024; `background_fetch` changes nothing',
  'fastly_kv_store.list': 'always strongly consistent',
  'fastly_log.endpoint_get': 'an endpoint that the service does not define writes to the node’s log',
  'fastly_log.write': 'lines above 16 KiB are cut',
  'fastly_erl.check_rate': 'counts at this point of presence, exactly, for one program',
  'fastly_erl.ratecounter_increment': 'counts at this point of presence, exactly, for one program',
}
