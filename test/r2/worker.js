/** Puts and gets objects by their path, and calls any method of the binding by name. */
const shown = (value) => {
  if (value === null || value === undefined) return null
  if (Array.isArray(value.objects)) return { ...value, objects: value.objects.map(shown) }
  if (value.uploadId !== undefined) return { key: value.key, uploadId: value.uploadId }
  if (value.uploaded === undefined) return value
  const { key, version, size, etag, httpEtag, uploaded, httpMetadata, customMetadata, range, storageClass } = value
  const checksums = value.checksums.toJSON()
  return { key, version, size, etag, httpEtag, uploaded, httpMetadata, customMetadata, range, storageClass, checksums }
}

/** Dates and headers travel as `{ $date }` and `{ $headers }`, bytes as `{ $hex }`, zeros as `{ $zeros }`. */
const revive = (_, value) => {
  if (value?.$date !== undefined) return new Date(value.$date)
  if (value?.$headers !== undefined) return new Headers(value.$headers)
  if (value?.$zeros !== undefined) return new Uint8Array(value.$zeros)
  if (value?.$hex !== undefined) return Uint8Array.from(value.$hex.match(/../g) ?? [], (pair) => parseInt(pair, 16))
  return value
}

async function call(bucket, { method, args, upload }) {
  if (upload !== undefined) {
    const target = bucket.resumeMultipartUpload(upload.key, upload.uploadId)
    return shown(await target[method](...args))
  }
  const answer = await bucket[method](...args)
  const seen = shown(answer)
  return answer?.body ? { ...seen, text: await answer.text() } : seen
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url)
    if (url.pathname === '/call') {
      try {
        return Response.json((await call(env.FILES, JSON.parse(await request.text(), revive))) ?? null)
      } catch (error) {
        return new Response(`${error.name}: ${error.message}`, { status: 500 })
      }
    }
    const key = decodeURIComponent(url.pathname.slice('/o/'.length))
    if (request.method === 'PUT') {
      const put = await env.FILES.put(key, request.body, { httpMetadata: request.headers })
      return Response.json(shown(put))
    }
    const found = await env.FILES.get(key, { range: request.headers })
    if (found === null) return new Response('none', { status: 404 })
    const headers = new Headers({ etag: found.httpEtag })
    found.writeHttpMetadata(headers)
    return new Response(found.body, { headers })
  },
}
