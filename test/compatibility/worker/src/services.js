import { equal, rejects } from './expect.js'

export const serviceChecks = {
  async 'service-fetch'({ NEIGHBOUR }) {
    const response = await NEIGHBOUR.fetch('http://neighbour/path?x=1', { method: 'POST', body: 'hi' })
    equal(await response.json(), { path: '/path', method: 'POST', body: 'hi' })
  },
  async 'service-rpc'({ NEIGHBOUR_API }) {
    const counter = await NEIGHBOUR_API.counter()
    equal(await counter.increment(2), 2)
    equal(await counter.increment(3), 5)
    equal(await NEIGHBOUR_API.counter().increment(7), 7, 'pipelined:')
    equal(await NEIGHBOUR_API.callBack((text) => text.toUpperCase()), 'called: FROM THE NEIGHBOUR')
    equal(await new Response(await NEIGHBOUR_API.stream()).text(), 'streamed')
    await rejects(() => NEIGHBOUR_API.fail(), 'refused by the neighbour')
  },
  async 'service-entrypoint'({ SELF_NAMED }) {
    equal(await SELF_NAMED.add(2, 3), 5)
  },
  async 'service-props'({ NEIGHBOUR_API }) {
    equal(await NEIGHBOUR_API.tenant(), 'blue')
  },
}
