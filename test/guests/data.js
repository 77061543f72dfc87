/// <reference types="@fastly/js-compute" />
// What JavaScript programs do with stores, facts and logs; each path is a check that answers with JSON.

import { Acl } from 'fastly:acl'
import { vCpuTime } from 'fastly:compute'
import { ConfigStore } from 'fastly:config-store'
import { Device } from 'fastly:device'
import { Dictionary } from 'fastly:dictionary'
import { EdgeRateLimiter, PenaltyBox, RateCounter } from 'fastly:edge-rate-limiter'
import { env } from 'fastly:env'
import { getGeolocationForIpAddress } from 'fastly:geolocation'
import { KVStore } from 'fastly:kv-store'
import { Logger } from 'fastly:logger'
import { SecretStore } from 'fastly:secret-store'

const checks = {
  '/environment': () =>
    ['FASTLY_SERVICE_ID', 'FASTLY_SERVICE_VERSION', 'FASTLY_POP', 'FASTLY_TRACE_ID'].map((name) => env(name)),
  '/kv': async () => {
    const store = new KVStore('things')
    await store.put('greeting', 'good day', { metadata: 'from js' })
    const entry = await store.get('greeting')
    await store.put('greeting', ' to you', { mode: 'append' })
    const appended = await (await store.get('greeting')).text()
    const again = await store.put('greeting', 'x', { mode: 'add' }).then(
      () => 'written',
      () => 'refused',
    )
    const page = await store.list({ prefix: 'gr', limit: 10 })
    await store.delete('greeting')
    const gone = await store.get('greeting')
    return { value: await entry.text(), metadata: entry.metadataText(), appended, again, keys: page.list, gone }
  },
  // The SDK does not wait for what it streams: the platform orders what one request does with one key.
  '/kv-stream': async (request) => {
    const store = new KVStore('things')
    await store.put('large', request.body)
    return (await (await store.get('large')).arrayBuffer()).byteLength
  },
  '/config': () => [
    new ConfigStore('settings').get('greeting'),
    new ConfigStore('settings').get('nothing'),
    new Dictionary('colours').get('sky'),
  ],
  '/no-store': () =>
    [() => new ConfigStore('nowhere'), () => new KVStore('nowhere'), () => new SecretStore('nowhere')].map((open) => {
      try {
        open()
        return 'opened'
      } catch (error) {
        return error.message
      }
    }),
  '/secret': async () => {
    const secret = await new SecretStore('vault').get('token')
    return [
      secret.plaintext(),
      (await new SecretStore('vault').get('nothing')) === null,
      SecretStore.fromBytes(new Uint8Array([104, 105])).plaintext(),
    ]
  },
  '/acl': async () => [await Acl.open('guests').lookup('192.0.2.7'), await Acl.open('guests').lookup('198.51.100.1')],
  '/rate': () => {
    const [counter, box] = [new RateCounter('hits'), new PenaltyBox('box')]
    const limiter = new EdgeRateLimiter(counter, box)
    const before = limiter.checkRate('somebody', 1, 10, 10, 1)
    counter.increment('somebody', 500)
    const after = limiter.checkRate('somebody', 1, 10, 10, 1)
    box.add('other', 1)
    return {
      before,
      after,
      rate: counter.lookupRate('somebody', 10),
      count: counter.lookupCount('somebody', 60),
      boxed: [box.has('somebody'), box.has('other'), box.has('nobody')],
    }
  },
  '/geo': () => {
    const place = getGeolocationForIpAddress('8.8.8.8')
    return [place.country_code, place.country_name, place.as_number, getGeolocationForIpAddress('127.0.0.1').city]
  },
  '/device': () => [Device.lookup('Phone/1')?.name, Device.lookup('Phone/2')],
  '/log': () => {
    new Logger('collector').log('to the collector')
    new Logger('audit').log('to the log')
    console.log('to standard output')
    console.error('to standard error')
    return 'logged'
  },
  '/time': () => typeof vCpuTime(),
}

addEventListener('fetch', (event) => event.respondWith(answer(event.request)))

async function answer(request) {
  const check = checks[new URL(request.url).pathname]
  return new Response(JSON.stringify(await check(request)))
}
