import { equal } from './expect.js'

export const assetChecks = {
  async 'assets-binding'({ ASSETS }, _ctx, request) {
    const response = await ASSETS.fetch(new URL('/sub/page', request.url))
    equal([response.status, (await response.text()).trim()], [200, '<p>a page</p>'])
    equal((await ASSETS.fetch(new URL('/none', request.url))).status, 404)
    const again = await ASSETS.fetch(
      new Request(new URL('/sub/page', request.url), { headers: { 'if-none-match': response.headers.get('etag') } }),
    )
    equal(again.status, 304)
  },
}
