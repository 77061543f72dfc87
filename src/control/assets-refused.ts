/** Why files or their configuration were refused: a value for the doors, a sentence for the person. */
export const assetRefusals = [
  'bad_request',
  'bad_manifest',
  'bad_token',
  'token_expired',
  'unknown_file',
  'wrong_content',
  'too_large',
  'bad_config',
  'bad_redirects',
  'bad_headers',
] as const
export type AssetRefusal = (typeof assetRefusals)[number]

/** Nothing was stored that a deployment could name. */
export class AssetsRefused extends Error {
  readonly why: AssetRefusal

  constructor(why: AssetRefusal, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AssetsRefused'
    this.why = why
  }
}
