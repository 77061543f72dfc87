import { DurableObject } from 'cloudflare:workers'

/** Counts the visits of one page, in a SQLite database of its own. */
export class Counter extends DurableObject {
  visit() {
    const { sql } = this.ctx.storage
    sql.exec('CREATE TABLE IF NOT EXISTS visits (at INTEGER)')
    sql.exec('INSERT INTO visits VALUES (?)', Date.now())
    return sql.exec('SELECT COUNT(*) AS count FROM visits').one().count
  }
}

export default {
  async fetch(request, env) {
    const page = new URL(request.url).pathname.slice('/visit/'.length)
    if (!/^[a-z]+$/.test(page)) throw new TypeError(`"${page}" is no page`)
    const count = await env.COUNTERS.getByName(page).visit()
    console.log('visit', { page, count })
    return new Response(`visit ${count} of ${page}\n`)
  },
}
