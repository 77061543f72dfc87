/** Rows of R2: the binding's methods, wrangler's commands. */
import type { Proof, Row } from './rows.ts'

const works = (feature: string, proof: Proof): Row => ({ feature, state: 'works', proof })
const story = (title: string): Proof => ({ file: 'r2.test.ts', title })
const basics = story('a bucket is made, bound, filled and emptied')
const metadata = story('what goes with an object comes back: metadata, class, checksums')
const byWrangler = story('objects by wrangler, and what it tells of a bucket')
const settings = story('a bucket with a class, a jurisdiction and a hint; what is not offered is refused by name')
const owned = (title: string): Proof => ({ file: 'r2-settings.test.ts', title })
const s3 = (title: string): Proof => ({ file: 's3.test.ts', title })

export const r2Binding: readonly Row[] = [
  works('R2: `head`, `get`, `put`, `delete`', basics),
  works('R2: `httpMetadata`, `customMetadata`, `storageClass`', metadata),
  works('R2: `md5`, `sha1`, `sha256`, `sha384`, `sha512`', story('a wrong checksum is refused and nothing is stored')),
  works('R2: `range`, as object and as headers', story('ranges of small and large objects')),
  works('R2: `onlyIf`, as object and as headers', story('onlyIf, by etag and time, for gets and puts')),
  works(
    'R2: `list` with `prefix`, `delimiter`, `cursor`, `startAfter`, `include`',
    story('lists: prefix, delimiter, cursor, startAfter, include, deletes of a thousand'),
  ),
  works(
    'R2: `createMultipartUpload`, `resumeMultipartUpload`, `uploadPart`, `complete`, `abort`',
    story('multipart: parts in any order, resumed, completed, aborted; rules of sizes'),
  ),
  { feature: 'R2: `ssecKey`', state: 'refused', note: 'by name, when it is given', proof: metadata },
  works(
    'R2: bindings without a bucket name get one',
    story('a binding to a bucket that is not there is refused, one without a name gets a bucket'),
  ),
  works(
    'R2 by S3: objects, ranges, conditions',
    s3('objects: put, get, head, delete; metadata, ranges, conditions, odd keys'),
  ),
  works(
    'R2 by S3: presigned addresses',
    s3('presigned addresses work for anyone, as long as they last and as they are'),
  ),
  works('R2 by S3: buckets of a jurisdiction', owned('buckets of a jurisdiction have an endpoint of their own')),
  works('R2 by S3: copies, uploads in parts', s3('copies and uploads in parts')),
  works('R2 by S3: checksums in fields and trailers', s3('bodies with checksums of each kind, streamed and whole')),
]

export const r2Commands: readonly Row[] = [
  works('`r2 bucket create`, `r2 bucket list`', basics),
  works('`r2 bucket info`, `r2 bucket delete`, `r2 object put|get|delete --remote`', byWrangler),
  works('`r2 bucket create` with `--jurisdiction`, `--location`, `--storage-class`; `r2 bucket update`', settings),
  works(
    '`r2 bucket lifecycle`',
    owned('objects that reached their rule are gone after the next look, also by wrangler'),
  ),
  works('`r2 bucket cors`, and over S3', owned('browsers of other origins may what the rules of the bucket allow')),
  works('`r2 bucket lock`', owned('locked objects are neither overwritten nor deleted')),
  works(
    '`r2 bucket dev-url`, `r2 bucket domain`',
    owned('a bucket is public at an address of its own and at domains, over the shared cache'),
  ),
  works('`r2 bucket notification`', owned('a queue is told of what its rules name')),
  {
    feature: '`r2 bucket sippy`, `r2 bucket catalog`',
    state: 'refused',
    note: 'by name; copy objects over the S3 API',
    proof: settings,
  },
]
