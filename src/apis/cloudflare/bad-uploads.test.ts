/** What people get wrong, or try: each is told with a number and a sentence, nothing is stored, what served goes on serving. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { after, before, describe, test } from 'node:test'
import { type Envelope, type TestPlatform, testPlatform } from './platform.fixture.ts'
import { goodModule as good, main, upload } from './upload-body.fixture.ts'

const KiB = 1024
const moduleBytes = 300 * KiB
let platform: TestPlatform
let scripts: string

const bound = (...bindings: object[]) => upload({ ...main, bindings })

before(async () => {
  platform = await testPlatform({ limits: { moduleBytes } })
  scripts = `/accounts/${platform.accountId}/workers/scripts`
  const { status, body } = await platform.call('PUT', `${scripts}/steady`, upload(main))
  assert.equal(status, 200, JSON.stringify(body))
})
after(() => platform.close())

const truncated = upload(main)
const cut = (from: string, at: number): RequestInit => ({ ...truncated, body: from.slice(0, at) })
const whole = truncated.body as string

const uploads: [what: string, init: RequestInit, status: number, code: number, message: RegExp][] = [
  [
    'not multipart',
    { body: '{}', headers: { 'content-type': 'application/json' } },
    400,
    10002,
    /must be multipart\/form-data/,
  ],
  ['cut in the metadata', cut(whole, 60), 400, 10002, /ends in part 'metadata'/],
  ['cut in a part header', cut(whole, whole.indexOf('filename')), 400, 10002, /ends in the header of part 2/],
  ['cut in a module', cut(whole, whole.length - 20), 400, 10002, /ends in part 'index.js'/],
  ['cut before the end mark', cut(whole, whole.length - 4), 400, 10002, /ends after part 'index.js'/],
  ['an empty body', cut(whole, 0), 400, 10002, /ends before the first part/],
  ['rubbish before the first part', { ...truncated, body: `rubbish\r\n${whole}` }, 400, 10002, /before the first part/],
  [
    'a part without a name',
    { ...truncated, body: whole.replace('; name="metadata"', '') },
    400,
    10002,
    /no form-data name/,
  ],
  ['no metadata', { ...truncated, body: whole.replace('"metadata"', '"other"') }, 400, 10002, /no part named metadata/],
  ['metadata that is not JSON', upload('{"main_module":'), 400, 10003, /not JSON/],
  ['metadata that is no object', upload('[]'), 400, 10003, /expected object/],
  [
    'a part twice',
    upload(main, [
      { name: 'index.js', text: good },
      { name: 'index.js', text: good },
    ]),
    400,
    10002,
    /two parts named 'index\.js'/,
  ],
  [
    'modules too large',
    upload(main, [
      { name: 'index.js', text: good },
      { name: 'big.txt', type: 'text/plain', text: 'x'.repeat(moduleBytes) },
    ]),
    413,
    10027,
    /larger than 307200 bytes/,
  ],
  [
    'main module missing',
    upload({ ...main, main_module: 'other.js' }),
    400,
    10021,
    /'other\.js' is not in the upload, which holds: index\.js/,
  ],
  [
    'main module of the wrong type',
    upload(main, [{ name: 'index.js', text: good, type: 'text/plain' }]),
    400,
    10021,
    /must be of type/,
  ],
  ['neither code nor assets', upload({}, []), 400, 10021, /neither a main module nor assets/],
  [
    'a module type',
    upload(main, [
      { name: 'index.js', text: good },
      { name: 'a.py', text: '', type: 'text/x-python' },
    ]),
    400,
    10501,
    /'a\.py' is of type 'text\/x-python'/,
  ],
  [
    'a date that is none',
    upload({ ...main, compatibility_date: '2026-02-30' }),
    400,
    10021,
    /Invalid compatibility date '2026-02-30'/,
  ],
  ['a date to come', upload({ ...main, compatibility_date: '2999-01-01' }), 400, 10021, /in the future/],
  [
    'a syntax error',
    upload(main, [{ name: 'index.js', text: 'export default {\n  fetch() { return = 1 }\n}' }]),
    400,
    10021,
    /SyntaxError: .*\n {4}at index\.js:2:2\d/,
  ],
  ['an unknown field', upload({ ...main, colour: 'red' }), 400, 10501, /metadata\.colour is not supported/],
  ['logpush', upload({ ...main, logpush: true }), 400, 10501, /logpush/],
  ['tail consumers', upload({ ...main, tail_consumers: [{ service: 'x' }] }), 400, 10143, /'x' not found/],
  ['streaming tails', upload({ ...main, streaming_tail_consumers: [{ service: 'x' }] }), 400, 10501, /not streamed/],
  ['containers', upload({ ...main, containers: [{ class_name: 'C' }] }), 400, 10501, /containers/],
  ['limits.subrequests', upload({ ...main, limits: { subrequests: 5 } }), 400, 10501, /limits\.cpu_ms/],
  ['targeted placement', upload({ ...main, placement: { mode: 'targeted', region: 'x' } }), 400, 10501, /placement/],
  ['a preview alias', upload({ ...main, annotations: { 'workers/alias': 'pr1' } }), 400, 10501, /preview aliases/],
  ['cache in front', upload({ ...main, cache_options: { enabled: true, ttl: 5 } }), 400, 10501, /cross_version_cache/],
  [
    'cache in front of an entrypoint',
    upload({ ...main, exports: { Api: { type: 'worker', cache: { enabled: true } } } }),
    400,
    10501,
    /exports\.Api.*default export only/,
  ],
  [
    'a workflow in exports whose class is not there',
    upload({ ...main, exports: { Wf: { type: 'workflow', name: 'wf' } } }),
    400,
    10070,
    /exports declares class 'Wf'.*WorkflowEntrypoint/,
  ],
  [
    'a workflow in exports without a name that fits',
    upload({ ...main, exports: { Wf: { type: 'workflow', name: 'w f' } } }),
    400,
    10501,
    /exports\.Wf .*name/,
  ],
  [
    'a binding without a name',
    bound({ type: 'plain_text', text: 'x' }),
    400,
    10052,
    /Binding at index 0 must have a name/,
  ],
  [
    'a database that is not there',
    bound({ name: 'DB', type: 'd1', id: 'x' }),
    400,
    10041,
    /'DB' .* 'x' which was not found/,
  ],
  ['a binding type we lack', bound({ name: 'M', type: 'ai' }), 400, 10501, /'M' is of type 'ai', .*model/],
  ['a binding type nobody has', bound({ name: 'X', type: 'flux' }), 400, 10501, /'X' is of type 'flux'/],
  [
    'a binding field we lack',
    bound({ name: 'K', type: 'kv_namespace', namespace_id: 'n', raw: true }),
    400,
    10021,
    /binding K of type kv_namespace is invalid/,
  ],
  [
    'a binding name twice',
    bound({ name: 'A', type: 'plain_text', text: '' }, { name: 'A', type: 'json', json: 1 }),
    400,
    10053,
    /two bindings named 'A'/,
  ],
  [
    'a variable too large',
    bound({ name: 'A', type: 'plain_text', text: 'x'.repeat(6 * KiB) }),
    400,
    10021,
    /6144 bytes/,
  ],
  ['nothing to inherit', bound({ name: 'A', type: 'inherit' }), 400, 10057, /^inherit binding 'A' is invalid/],
  ['assets that were not uploaded', bound({ name: 'ASSETS', type: 'assets' }), 400, 10021, /this version has none/],
  [
    'a service that is not there',
    bound({ name: 'S', type: 'service', service: 'nobody' }),
    400,
    10143,
    /Target script 'nobody' not found/,
  ],
  [
    'a class without migration',
    bound({ name: 'C', type: 'durable_object_namespace', class_name: 'Counter' }),
    400,
    10061,
    /'Counter' because it is not currently configured/,
  ],
  [
    'a class of a program that is not there',
    bound({ name: 'C', type: 'durable_object_namespace', class_name: 'C', script_name: 'no' }),
    400,
    10061,
    /'no' that does not exist/,
  ],
  [
    'a new class that is not exported',
    upload({ ...main, migrations: { new_tag: 'v1', steps: [{ new_sqlite_classes: ['Other'] }] } }),
    400,
    10070,
    /'Other' that is not exported/,
  ],
  [
    'a deleted class that never was',
    upload({ ...main, migrations: { new_tag: 'v1', steps: [{ deleted_classes: ['Ghost'] }] } }),
    400,
    10074,
    /'Ghost' that is not depended on/,
  ],
  [
    'a tag that does not fit',
    upload({ ...main, migrations: { old_tag: 'v7', new_tag: 'v8', steps: [] } }),
    412,
    10079,
    /got tag 'v7' when expected tag is ''/,
  ],
  [
    'a class transferred from nobody',
    upload({
      ...main,
      migrations: { new_tag: 'v1', steps: [{ transferred_classes: [{ from: 'A', from_script: 'no', to: 'B' }] }] },
    }),
    400,
    10061,
    /'no': no such Worker/,
  ],
]

describe('uploads', () => {
  for (const [what, init, status, code, message] of uploads)
    test(what, async () => {
      const { snapshot } = platform.control
      for (const [method, path] of [
        ['PUT', `${scripts}/steady`],
        ['PUT', `${scripts}/brand-new`],
      ] as const) {
        const answer = await platform.call(method, path, init)
        assert.deepEqual([answer.status, answer.body.errors[0]?.code], [status, code], JSON.stringify(answer.body))
        assert.match(answer.body.errors[0]!.message, message)
        assert.equal(answer.body.success, false)
      }
      assert.equal(platform.control.snapshot, snapshot)
      assert.equal((await platform.fabric.bucket('program-versions').list({ limit: 100 })).length, 1)
    })
})

test('an upload without end is refused while memory stays flat, and the client sees why', async () => {
  const chunk = Buffer.alloc(64 * KiB, 120)
  const head = upload(main, [])
  const opening = (head.body as string).replace('--B--\r\n', '')
  const part = `--B\r\nContent-Disposition: form-data; name="big"; filename="big"\r\nContent-Type: text/plain\r\n\r\n`
  const answer = await new Promise<{ status: number; body: Envelope }>((resolve, reject) => {
    const sent = request(`${platform.url}${scripts}/steady`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${platform.token}`, ...(head.headers as Record<string, string>) },
    })
    sent.on('error', reject).on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (piece: string) => {
        text += piece
      })
      response.on('end', () => resolve({ status: response.statusCode!, body: JSON.parse(text) as Envelope }))
    })
    sent.write(opening + part)
    let left = 16
    const push = () => {
      if (left === 0) return sent.end()
      left -= 1
      if (sent.write(chunk)) setImmediate(push)
      else sent.once('drain', push)
      return undefined
    }
    push()
  })
  assert.deepEqual([answer.status, answer.body.errors[0]?.code], [413, 10027])
})

test('hints without effect are accepted with a message', async () => {
  const init = upload({ ...main, placement: { mode: 'smart' }, observability: { enabled: true }, logpush: false })
  const { status, body } = await platform.call('PUT', `${scripts}/hints`, init)
  assert.equal(status, 200)
  assert.match(
    body.messages.map(({ message }) => message).join(' '),
    /placement\.mode "smart" has no effect.*observability/,
  )
})

test('none of this was a bug', () => {
  assert.deepEqual(platform.bugs, [])
})
