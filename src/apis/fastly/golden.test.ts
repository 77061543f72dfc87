/**
 * Translations: each `golden/*.golden` holds the calls that fill a version above the dashes, and below what it becomes in our
 * nouns, or why it is refused. After a change that is meant, run with RIMWARD_GOLDEN=write and read the difference.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import type { Program } from '#/core/snapshot.ts'
import { type Door, openDoor } from './door.fixture.ts'

const folder = join(import.meta.dirname, 'golden')
const dashes = '\n----------\n'

for (const file of readdirSync(folder))
  test(file, async (t) => {
    const path = join(folder, file)
    const [request, expected] = readFileSync(path, 'utf8').split(dashes) as [string, string]
    const door = await openDoor(t)
    const type = request.startsWith('# wasm') ? 'wasm' : 'vcl'
    const { id } = (await door.call('POST', '/service', { name: 'Golden Shop', type })).body
    if (type === 'wasm') await sendPackage(door, id)
    const refused: object[] = []
    for (const line of request.split('\n').filter((one) => one !== '' && !one.startsWith('#'))) {
      const [, call, body] = /^(\S+) (\{.*\})$/.exec(line) as unknown as [string, string, string]
      const [method, to] = call === 'settings' ? ['PUT', call] : ['POST', call]
      const { status, body: answer } = await door.call(method, `/service/${id}/version/1/${to}`, body, {
        'content-type': 'application/json',
      })
      if (status !== 200) refused.push(answer)
    }
    const activated = await door.call('PUT', `/service/${id}/version/1/activate`)
    const site = [...door.control.snapshot.sites][0]
    const program = readable(door.control.snapshot.programs.get('golden-shop'), id)
    const served = { site, ...(program !== undefined && { program }) }
    const shown = { ...(refused.length > 0 && { refused }), ...(activated.status === 200 ? served : activated.body) }
    const text = JSON.stringify(shown, null, 2)
    if (process.env.RIMWARD_GOLDEN === 'write') writeFileSync(path, `${request}${dashes}${text}\n`)
    else assert.equal(text, expected.trimEnd())
    assert.deepEqual(door.bugs, [])
  })

/** `p/bin/main.wasm`, an empty module, and `p/fastly.toml`. */
const smallPackage =
  'H4sIAAAAAAAAAyvQT8rM089NzMzTK08szmWgBTAwMDAwMzHBKg4GhgYItgGIbW5sZMCgYEAT16CB0uKSxCIGA7rYNRhBYnEu40C7YRQMGCjQT0ssLsmp1CvJz82hkR2E878xev43NDYdzf/0AHmJuakKtgpKBUpcA+2UUTAKRsEoGAV0BACrVxvwAAwAAA=='

async function sendPackage({ url, token }: Door, service: string): Promise<void> {
  const answer = await fetch(`${url}/service/${service}/version/1/package`, {
    method: 'PUT',
    headers: { 'fastly-key': token },
    body: Buffer.from(smallPackage, 'base64'),
  })
  assert.equal(answer.status, 200, await answer.text())
}

/** Without what differs each time. */
function readable(program: Program | undefined, service: string): unknown {
  if (program === undefined) return undefined
  const text = JSON.stringify(program, (key, value) => (key === 'createdAt' ? 0 : value))
  return JSON.parse(text.replaceAll(service, 'SERVICE').replaceAll(program.rollout[0]!.deployment.id, 'DEPLOYMENT'))
}
