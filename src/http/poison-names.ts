/**
 * Fields that naive origins build their answers from although no cache keys on them. A site's clients do not get them
 * through to a shared answer; what a program sends itself becomes part of its key.
 */
export const poisonNames: ReadonlySet<string> = new Set([
  'forwarded',
  'x-forwarded-scheme',
  'x-forwarded-ssl',
  'x-forwarded-port',
  'x-forwarded-prefix',
  'x-forwarded-path',
  'x-forwarded-server',
  'x-forwarded-uri',
  'x-forwarded-by',
  'x-host',
  'x-http-host-override',
  'x-original-host',
  'x-original-url',
  'x-rewrite-url',
  'x-override-url',
  'x-http-destinationurl',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-backend-host',
  'x-proxy-url',
  'front-end-https',
])
