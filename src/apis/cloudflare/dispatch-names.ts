/** Cloudflare's words for what is not there in Workers for Platforms. */
import { VendorError } from './envelope.ts'

export function noNamespace(name: string): VendorError {
  const said = 'workers.api.error.dispatch_namespace_not_found'
  return new VendorError(404, 100_119, `${said}: there is no dispatch namespace '${name.slice(0, 80)}'.`)
}

export function noDispatched(): VendorError {
  return new VendorError(404, 10_092, 'workers.api.error.environment_not_found')
}
