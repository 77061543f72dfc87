/** Calls that people get wrong, or that we do not have: each is told with a number and a sentence, nothing is stored, what served goes on serving. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type TestPlatform, testPlatform } from './platform.fixture.ts'
import { main, upload } from './upload-body.fixture.ts'

let platform: TestPlatform

before(async () => {
  platform = await testPlatform()
  await platform.call('PUT', `/accounts/${platform.accountId}/workers/scripts/steady`, upload(main))
})
after(() => platform.close())

const json = (value: unknown): RequestInit => ({ body: JSON.stringify(value) })
const half = { versions: [{ version_id: 'none', percentage: 50 }] }
const calls: [
  what: string,
  method: string,
  path: string,
  init: RequestInit,
  status: number,
  code: number,
  message: RegExp,
][] = [
  [
    'an unknown call',
    'GET',
    '/accounts/ACC/vectorize/v2/indexes',
    {},
    404,
    7003,
    /does not support GET \/client\/v4\/accounts\/.*\/vectorize\/v2\/indexes/,
  ],
  ['a Pages project', 'GET', '/accounts/ACC/pages/projects/shop', {}, 404, 7003, /projects\/shop\. A Pages project is/],
  ["another's account", 'GET', '/accounts/somebody/workers/scripts', {}, 403, 9109, /account is 0123.*not somebody/],
  ['a service that is not there', 'GET', '/accounts/ACC/workers/services/no', {}, 404, 10090, /not_found/],
  [
    'a script that is not there',
    'GET',
    '/accounts/ACC/workers/scripts/no/deployments',
    {},
    404,
    10007,
    /no program 'no'/,
  ],
  [
    'a name in capitals',
    'PUT',
    '/accounts/ACC/workers/scripts/Steady',
    upload(main),
    400,
    10016,
    /'Steady' is not a name/,
  ],
  ['a name with a dot', 'PUT', '/accounts/ACC/workers/scripts/a.b', upload(main), 400, 10016, /not a name/],
  [
    'a version of nobody',
    'POST',
    '/accounts/ACC/workers/scripts/no/versions',
    upload(main),
    404,
    10007,
    /no program 'no'/,
  ],
  [
    'a migration in a version',
    'POST',
    '/accounts/ACC/workers/scripts/steady/versions',
    upload({ ...main, migrations: { new_tag: 'v1', steps: [] } }),
    400,
    10211,
    /migrations must be fully applied/,
  ],
  [
    'a binding before its exports entry',
    'POST',
    '/accounts/ACC/workers/scripts/steady/versions',
    upload({
      ...main,
      exports: { Counter: { type: 'durable-object', storage: 'sqlite' } },
      bindings: [{ name: 'C', type: 'durable_object_namespace', class_name: 'Counter' }],
    }),
    400,
    100406,
    /only when a version is deployed/,
  ],
  [
    'an unknown version',
    'GET',
    '/accounts/ACC/workers/scripts/steady/versions/none',
    {},
    404,
    10025,
    /no version 'none'/,
  ],
  [
    'a deployment that is half',
    'POST',
    '/accounts/ACC/workers/scripts/steady/deployments',
    json(half),
    400,
    10221,
    /adds up to 50 %/,
  ],
  [
    'a deployment of nothing',
    'POST',
    '/accounts/ACC/workers/scripts/steady/deployments',
    json({ versions: [] }),
    400,
    10221,
    /no version/,
  ],
  ['not JSON', 'POST', '/accounts/ACC/workers/scripts/steady/deployments', { body: '{' }, 400, 10001, /not JSON/],
  [
    'a field too many',
    'POST',
    '/accounts/ACC/workers/scripts/steady/deployments',
    json({ versions: [], colour: 1 }),
    400,
    10501,
    /colour/,
  ],
  [
    'previews',
    'POST',
    '/accounts/ACC/workers/scripts/steady/subdomain',
    json({ enabled: true, previews_enabled: true }),
    400,
    10501,
    /Preview URLs/,
  ],
  [
    'a route with another scheme',
    'PUT',
    '/accounts/ACC/workers/scripts/steady/routes',
    json([{ pattern: 'ftp://a.test/*' }]),
    400,
    10022,
    /not a hostname/,
  ],
  [
    'a route with a star inside',
    'PUT',
    '/accounts/ACC/workers/scripts/steady/routes',
    json([{ pattern: 'a.test/*/b' }]),
    400,
    10022,
    /not at the end/,
  ],
  [
    'a domain that is none',
    'PUT',
    '/accounts/ACC/workers/scripts/steady/domains/records',
    json({ origins: [{ hostname: 'a_b..c' }] }),
    400,
    10022,
    /not a hostname/,
  ],
  [
    'a secret that is not there',
    'DELETE',
    '/accounts/ACC/workers/scripts/steady/secrets/NONE',
    {},
    404,
    10056,
    /no secret 'NONE'/,
  ],
  [
    'a cron that does not parse',
    'PUT',
    '/accounts/ACC/workers/scripts/steady/schedules',
    json([{ cron: '* * * * *' }, { cron: '0 22 * * 0' }]),
    400,
    10100,
    /invalid cron string: '0 22 \* \* 0'/,
  ],
  [
    'a cron in a cron',
    'PUT',
    '/accounts/ACC/workers/scripts/steady/schedules',
    json([{ cron: { cron: '* * * * *' } }]),
    400,
    10026,
    /Could not parse request body/,
  ],
  [
    'a tail consumer that is not there',
    'PATCH',
    '/accounts/ACC/workers/scripts/steady/script-settings',
    json({ tail_consumers: [{ service: 'nobody' }] }),
    400,
    10143,
    /Tail consumer 'nobody' not found/,
  ],
]

describe('other calls', () => {
  for (const [what, method, path, init, status, code, message] of calls)
    test(what, async () => {
      const { snapshot } = platform.control
      const answer = await platform.call(method, path.replace('/ACC/', `/${platform.accountId}/`), init)
      assert.deepEqual([answer.status, answer.body.errors[0]?.code], [status, code], JSON.stringify(answer.body))
      assert.match(answer.body.errors[0]!.message, message)
      assert.equal(platform.control.snapshot, snapshot)
    })
})

test('a wrong, absent or other kind of token', async () => {
  for (const authorization of ['Bearer wrong', '', 'Basic YTpi', `Bearer ${platform.token}x`]) {
    const headers = { authorization }
    const answer = await platform.call('GET', '/user', { headers })
    assert.deepEqual([answer.status, answer.body.errors[0]?.code], [403, 10000])
    const verify = await platform.call('GET', '/user/tokens/verify', { headers })
    assert.deepEqual([verify.status, verify.body.errors[0]?.code], [401, 1000])
  }
})

test('none of this was a bug', () => {
  assert.deepEqual(platform.bugs, [])
})
