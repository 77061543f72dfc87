/** Proofs of the compatibility page: static assets. */
import assert from 'node:assert/strict'
import type { Story } from './site.ts'

export const assetStories: Record<string, Story> = {
  async 'assets answer'({ node }) {
    const page = await node.get('compat.localhost', '/sub/page')
    assert.deepEqual([page.status, page.text.trim()], [200, '<p>a page</p>'])
    assert.match(page.headers['content-type'] ?? '', /^text\/html/)
    const again = await node.get('compat.localhost', '/sub/page', { headers: { 'if-none-match': page.headers.etag! } })
    assert.equal(again.status, 304)
    const redirected = await node.get('compat.localhost', '/sub/page.html')
    assert.deepEqual([redirected.status, redirected.headers.location], [307, '/sub/page'])
  },
  async 'assets _headers'({ node }) {
    assert.equal((await node.get('compat.localhost', '/')).headers['x-from'], 'headers-file')
  },
  async 'assets _redirects'({ node }) {
    const answer = await node.get('compat.localhost', '/old')
    assert.deepEqual([answer.status, answer.headers.location], [301, '/sub/page'])
  },
  async 'assets run_worker_first'({ node }) {
    assert.equal((await node.get('compat.localhost', '/check/vars')).text, 'ok')
    assert.equal((await node.get('compat.localhost', '/')).text.trim(), '<p>home</p>')
  },
  async 'assets ignored'({ node }) {
    assert.notEqual((await node.get('compat.localhost', '/secret.txt')).text.trim(), 'hidden')
  },
}
