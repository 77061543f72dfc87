import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EdgeError } from '#/core/errors.ts'
import { createMemoryFabric } from './memory-fabric.fixture.ts'
import { platformToken } from './platform-token.ts'

test('the first process gives the token, later ones take it unless they were given one', async () => {
  const fabric = createMemoryFabric(() => 1)
  const seal = { seal: (text: string) => `sealed ${text}`, open: (text: string) => text.slice(7) }
  const of = (token: string, isSet = false) => platformToken({ fabric, seal, token, isSet })
  assert.equal(await of('first'), 'first')
  assert.equal(await of('second'), 'first')
  assert.equal(await of('set', true), 'set')
  assert.equal(await of('third'), 'first')
  const stored = (await fabric.bucket('platform').get('token'))!.value
  assert.equal(Buffer.from(stored).toString(), 'sealed first')

  const away = createMemoryFabric(() => 1)
  Object.assign(away.bucket('platform'), {
    put: async () => {
      throw new EdgeError('fabric_away', 'cut')
    },
  })
  assert.equal(await platformToken({ fabric: away, seal, token: 'own', isSet: false }), 'own')
})
