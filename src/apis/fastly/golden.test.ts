/**
 * Translations: each `golden/*.golden` holds the calls that fill a version above the dashes, and below what it becomes in our
 * nouns, or why it is refused. After a change that is meant, run with RIMWARD_GOLDEN=write and read the difference.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openDoor } from './door.fixture.ts'

const folder = join(import.meta.dirname, 'golden')
const dashes = '\n----------\n'

for (const file of readdirSync(folder))
  test(file, async (t) => {
    const path = join(folder, file)
    const [request, expected] = readFileSync(path, 'utf8').split(dashes) as [string, string]
    const door = await openDoor(t)
    const { id } = (await door.call('POST', '/service', { name: 'Golden Shop', type: 'vcl' })).body
    const refused: object[] = []
    for (const line of request.split('\n').filter((one) => one !== '')) {
      const [, call, body] = /^(\S+) (\{.*\})$/.exec(line) as unknown as [string, string, string]
      const [method, to] = call === 'settings' ? ['PUT', call] : ['POST', call]
      const { status, body: answer } = await door.call(method, `/service/${id}/version/1/${to}`, body, {
        'content-type': 'application/json',
      })
      if (status !== 200) refused.push(answer)
    }
    const activated = await door.call('PUT', `/service/${id}/version/1/activate`)
    const site = door.control.snapshot.sites[0]
    const shown = { ...(refused.length > 0 && { refused }), ...(activated.status === 200 ? { site } : activated.body) }
    const text = JSON.stringify(shown, null, 2)
    if (process.env.RIMWARD_GOLDEN === 'write') writeFileSync(path, `${request}${dashes}${text}\n`)
    else assert.equal(text, expected.trimEnd())
    assert.deepEqual(door.bugs, [])
  })
