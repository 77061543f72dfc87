/**
 * Translations: each `golden/*.golden` holds an upload above the dashes and what it becomes in our nouns below. After a change
 * that is meant, run with RIMWARD_GOLDEN=write and read the difference.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { testPlatform } from './platform.fixture.ts'
import { upload } from './upload-body.fixture.ts'

const folder = join(import.meta.dirname, 'golden')
const dashes = '\n----------\n'

const texts: Record<string, string> = {
  'application/javascript+module': 'export class Counter {}\nexport class Api {}\nexport default { fetch() {} }',
  'application/javascript': 'addEventListener("fetch", () => {})',
}

/** Ids, times and hashes differ from run to run, or say nothing to a reader. */
const unstable: Record<string, string> = {
  id: '<id>',
  key: '<key>',
  blob: '<hash>',
  createdAt: '<time>',
  sealed: '<sealed>',
}

for (const file of readdirSync(folder))
  test(file, async () => {
    const path = join(folder, file)
    const [request, expected] = readFileSync(path, 'utf8').split(dashes) as [string, string]
    const { parts, metadata } = JSON.parse(request) as { parts: Record<string, string>; metadata: object }
    const files = Object.entries(parts).map(([name, type]) => ({ name, type, text: texts[type] ?? 'some bytes' }))
    const platform = await testPlatform()
    const { status, body } = await platform.call(
      'PUT',
      `/accounts/${platform.accountId}/workers/scripts/golden`,
      upload(metadata, files),
    )
    const program = platform.control.snapshot.programs.get('golden')
    const shown = body.success
      ? { program, messages: body.messages.map(({ message }) => message) }
      : { status, errors: body.errors }
    const text = `${JSON.stringify(shown, (key, value) => (typeof value === 'object' ? value : (unstable[key] ?? value)), 2)}\n`
    await platform.close()
    if (process.env.RIMWARD_GOLDEN === 'write') writeFileSync(path, request + dashes + text)
    else assert.equal(text, expected)
  })
