import { differs, equal, fails, refused, shaped, works } from './case.js'

const body = 'hello world'
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')

export const r2 = [
  works(
    'R2Bucket: put head; R2Object: key version size etag httpEtag uploaded checksums; R2Checksums: md5 toJSON; R2StringChecksums: md5',
    async ({ env: { BUCKET } }) => {
      const put = await BUCKET.put('put', body)
      equal([put.key, put.size, put.httpEtag], ['put', 11, `"${put.etag}"`])
      shaped(put, { version: 'string', uploaded: 'Date' })
      equal(
        [put.etag, hex(put.checksums.md5), put.checksums.toJSON()],
        Array(2).fill('5eb63bbbe01eeed093cb22bb8f5acdc3').concat({ md5: '5eb63bbbe01eeed093cb22bb8f5acdc3' }),
      )
      equal((await BUCKET.head('put')).version, put.version)
      equal(await BUCKET.head('absent'), null)
    },
  ),
  works(
    'R2Bucket: get delete; R2ObjectBody: body bodyUsed arrayBuffer bytes text json blob',
    async ({ env: { BUCKET } }) => {
      await BUCKET.put('got', '{"a":1}')
      const get = () => BUCKET.get('got')
      const first = await get()
      equal(
        [first.body instanceof ReadableStream, first.bodyUsed, await first.text(), first.bodyUsed],
        [true, false, '{"a":1}', true],
      )
      equal(await (await get()).json(), { a: 1 })
      equal((await (await get()).arrayBuffer()).byteLength, 7)
      equal((await (await get()).bytes()).length, 7)
      equal((await (await get()).blob()).size, 7)
      await BUCKET.delete(['got', 'absent'])
      equal(await get(), null)
    },
  ),
  works('R2Range: offset length suffix; R2GetOptions: range; R2Object: range', async ({ env: { BUCKET } }) => {
    await BUCKET.put('ranged', body)
    const part = await BUCKET.get('ranged', { range: { offset: 1, length: 4 } })
    equal([await part.text(), part.range], ['ello', { offset: 1, length: 4 }])
    equal(await (await BUCKET.get('ranged', { range: { suffix: 3 } })).text(), 'rld')
    equal(await (await BUCKET.get('ranged', { range: new Headers({ range: 'bytes=6-' }) })).text(), 'world')
  }),
  works(
    'R2GetOptions: onlyIf; R2PutOptions: onlyIf; R2Conditional: etagMatches etagDoesNotMatch uploadedBefore uploadedAfter secondsGranularity',
    async ({ env: { BUCKET } }) => {
      const { etag } = await BUCKET.put('conditional', body)
      const got = async (onlyIf) => (await BUCKET.get('conditional', { onlyIf })).body !== undefined
      const [past, future] = [new Date(Date.now() - 60_000), new Date(Date.now() + 60_000)]
      equal([await got({ etagMatches: etag }), await got({ etagMatches: 'other' })], [true, false])
      equal([await got({ etagDoesNotMatch: etag }), await got({ etagDoesNotMatch: 'other' })], [false, true])
      equal([await got({ uploadedBefore: future }), await got({ uploadedBefore: past })], [true, false])
      equal(
        [await got({ uploadedAfter: past, secondsGranularity: true }), await got({ uploadedAfter: future })],
        [true, false],
      )
      equal(await BUCKET.put('conditional', 'new', { onlyIf: { etagMatches: 'other' } }), null)
    },
  ),
  works(
    'R2PutOptions: httpMetadata customMetadata storageClass; R2Object: httpMetadata customMetadata storageClass writeHttpMetadata; R2HTTPMetadata: contentType contentLanguage contentDisposition contentEncoding cacheControl cacheExpiry',
    async ({ env: { BUCKET } }) => {
      const httpMetadata = {
        ...{ contentType: 'text/plain', contentLanguage: 'de', contentDisposition: 'inline' },
        ...{ contentEncoding: 'br', cacheControl: 'no-cache', cacheExpiry: new Date(5000) },
      }
      await BUCKET.put('described', body, {
        httpMetadata,
        customMetadata: { by: 'me' },
        storageClass: 'InfrequentAccess',
      })
      const object = await BUCKET.head('described')
      equal({ ...object.httpMetadata }, httpMetadata)
      equal([object.customMetadata, object.storageClass], [{ by: 'me' }, 'InfrequentAccess'])
      const headers = new Headers()
      object.writeHttpMetadata(headers)
      equal([headers.get('content-type'), headers.get('expires')], ['text/plain', 'Thu, 01 Jan 1970 00:00:05 GMT'])
    },
  ),
  works(
    'R2PutOptions: md5 sha1 sha256 sha384 sha512; R2Checksums: sha1 sha256 sha384 sha512; R2StringChecksums: sha1 sha256 sha384 sha512',
    async ({ env: { BUCKET } }) => {
      for (const [name, algorithm] of Object.entries({
        md5: 'MD5',
        sha1: 'SHA-1',
        sha256: 'SHA-256',
        sha384: 'SHA-384',
        sha512: 'SHA-512',
      })) {
        const digest = await crypto.subtle.digest(algorithm, new TextEncoder().encode(body))
        const { checksums } = await BUCKET.put(`sum-${name}`, body, { [name]: digest })
        equal([hex(checksums[name]), checksums.toJSON()[name]], [hex(digest), hex(digest)], name)
        await fails(() => BUCKET.put('wrong', body, { [name]: '00'.repeat(digest.byteLength) }), /checksum/i)
      }
    },
  ),
  works(
    'R2Bucket: list; R2ListOptions: limit prefix cursor delimiter startAfter include; R2Objects: objects delimitedPrefixes truncated cursor',
    async ({ env: { BUCKET } }) => {
      for (const name of ['a', 'b', 'c/1', 'c/2']) await BUCKET.put(`l/${name}`, body, { customMetadata: { name } })
      const keys = ({ objects }) => objects.map(({ key }) => key)
      const first = await BUCKET.list({ prefix: 'l/', limit: 1, include: ['customMetadata'] })
      equal([keys(first), first.truncated, first.objects[0].customMetadata], [['l/a'], true, { name: 'a' }])
      const rest = await BUCKET.list({ prefix: 'l/', cursor: first.cursor })
      equal([keys(rest), rest.truncated], [['l/b', 'l/c/1', 'l/c/2'], false])
      const parted = await BUCKET.list({ prefix: 'l/', delimiter: '/', startAfter: 'l/a' })
      equal([keys(parted), parted.delimitedPrefixes], [['l/b'], ['l/c/']])
    },
  ),
  works(
    'R2Bucket: createMultipartUpload resumeMultipartUpload; R2MultipartUpload: key uploadId uploadPart abort complete; R2UploadedPart: partNumber etag; R2MultipartOptions: httpMetadata customMetadata storageClass',
    async ({ env: { BUCKET } }) => {
      const options = {
        httpMetadata: { contentType: 'text/x' },
        customMetadata: { by: 'me' },
        storageClass: 'Standard',
      }
      const upload = await BUCKET.createMultipartUpload('parts', options)
      shaped(upload, { uploadId: 'string' })
      equal(upload.key, 'parts')
      const part = await BUCKET.resumeMultipartUpload('parts', upload.uploadId).uploadPart(1, body)
      equal(part.partNumber, 1)
      shaped(part, { etag: 'string' })
      const whole = await upload.complete([part])
      equal(
        [whole.size, whole.httpMetadata.contentType, whole.customMetadata, whole.storageClass],
        [11, 'text/x', { by: 'me' }, 'Standard'],
      )
      const other = await BUCKET.createMultipartUpload('aborted')
      await other.abort()
      await fails(() => other.uploadPart(1, body), /does not exist|10024/)
    },
  ),
]

const key = 'ab'.repeat(32)
r2.push(
  refused(
    'R2GetOptions: ssecKey; R2PutOptions: ssecKey; R2MultipartOptions: ssecKey; R2UploadPartOptions: ssecKey',
    'keys of customers are refused by name when they are given',
    async ({ env: { BUCKET } }) => {
      await BUCKET.put('keyed', body)
      await fails(() => BUCKET.put('keyed', body, { ssecKey: key }), /ssec/i)
      await fails(() => BUCKET.get('keyed', { ssecKey: key }), /ssec/i)
      await fails(() => BUCKET.createMultipartUpload('keyed', { ssecKey: key }), /ssec/i)
      const upload = await BUCKET.createMultipartUpload('keyed')
      await fails(() => upload.uploadPart(1, body, { ssecKey: key }), /ssec/i)
      await upload.abort()
    },
  ),
  refused('R2Object: ssecKeyMd5', 'no object has a key of its customer', async ({ env: { BUCKET } }) => {
    equal((await BUCKET.put('plain', body)).ssecKeyMd5, undefined)
  }),
  works('R2Error: name message stack', async ({ env: { BUCKET } }) => {
    const error = await BUCKET.put('wrong', body, { md5: '00'.repeat(16) }).catch((thrown) => thrown)
    shaped(error, { name: 'string', message: 'string', stack: 'string' })
  }),
  differs(
    'R2Error: code action',
    'the runtime puts the number into the message and leaves these out',
    async ({ env: { BUCKET } }) => {
      const error = await BUCKET.put('wrong', body, { md5: '00'.repeat(16) }).catch((thrown) => thrown)
      equal([error.code, error.action, /\(10037\)/.test(error.message)], [undefined, undefined, true])
    },
  ),
)
