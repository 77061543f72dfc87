/**
 * Files that are usually the same for everybody, told by the extension of the path: Cloudflare's list
 * (https://developers.cloudflare.com/cache/concepts/default-cache-behavior/#default-cached-file-extensions), and the media
 * types under which an origin may send them. A page in the guise of a file has another type.
 */

const types: Readonly<Record<string, string>> = {
  '7z apk bin bz2 class dmg exe gz iso jar rar tar zip zst': 'application/',
  'avif bmp gif ico jpeg jpg pict png svg svgz tif tiff webp': 'image/',
  'avi mkv mp4 webm': 'video/ application/mp4 application/x-matroska',
  'flac mid midi mp3 ogg pls': 'audio/ application/ogg video/ogg application/pls',
  'eot otf ttf woff woff2':
    'font/ application/font application/x-font application/vnd.ms-fontobject application/x-ttf application/x-otf',
  'doc docx pdf ppt pptx ps eps xls xlsx': 'application/',
  css: 'text/css',
  csv: 'text/csv application/csv text/plain',
  ejs: 'text/plain application/ text/javascript',
  js: 'text/javascript application/javascript application/x-javascript text/ecmascript application/ecmascript',
  swf: 'application/x-shockwave-flash application/vnd.adobe.flash',
}

/** Types that are pages or data for one person, though they begin with `application/`. */
const personal = /^application\/(?:xhtml\+xml|json|[a-z0-9.-]+\+json|xml|[a-z0-9.-]+\+xml)\s*(?:;|$)/

const byExtension = new Map<string, readonly string[]>()
for (const [extensions, prefixes] of Object.entries(types))
  for (const extension of extensions.split(' ')) byExtension.set(extension, prefixes.split(' '))

/** `extension` in lower case. */
export function isStaticExtension(extension: string): boolean {
  return byExtension.has(extension)
}

/** Does an answer of this type look like what its extension says? True for extensions that are not in the list. */
export function typeFitsExtension(extension: string, contentType: string | undefined): boolean {
  const prefixes = byExtension.get(extension)
  if (prefixes === undefined) return true
  const type = (contentType ?? '').trim().toLowerCase()
  // What an origin sends when it knows no better than that it is a file.
  if (/^application\/octet-stream\s*(?:;|$)/.test(type)) return true
  return !personal.test(type) && prefixes.some((prefix) => type.startsWith(prefix))
}
