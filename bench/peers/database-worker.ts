/** The Worker that asks its database, the same for every peer: `/setup` once, then `/select` and `/insert`. */
export const databaseRows = 10_000

export const databaseSource = `
const text = 'x'.repeat(100)
export default {
  async fetch(request, { DB }) {
    const { pathname } = new URL(request.url)
    if (pathname === '/setup') {
      await DB.exec('CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, note TEXT)')
      await DB.prepare('WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ${databaseRows}) INSERT INTO t SELECT i, \\'name \\' || i, ?1 FROM n').bind(text).run()
      return new Response('ready')
    }
    if (pathname === '/insert') {
      const { meta } = await DB.prepare('INSERT INTO t (name, note) VALUES (?1, ?2)').bind('name', text).run()
      return new Response(String(meta.changes))
    }
    const id = 1 + Math.floor(Math.random() * ${databaseRows})
    return Response.json(await DB.prepare('SELECT * FROM t WHERE id = ?1').bind(id).first())
  },
}
`
