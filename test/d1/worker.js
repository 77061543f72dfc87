/** Does with its database what the body of a request says, and tells what came of it. */
const steps = {
  all: (db, { sql, bind }) => statement(db, sql, bind).all(),
  run: (db, { sql, bind }) => statement(db, sql, bind).run(),
  first: (db, { sql, bind, column }) => statement(db, sql, bind).first(column),
  raw: (db, { sql, bind, columnNames }) => statement(db, sql, bind).raw({ columnNames }),
  batch: (db, { of }) => db.batch(of.map(({ sql, bind }) => statement(db, sql, bind))),
  exec: (db, { sql }) => db.exec(sql),
  dump: (db) => db.dump(),
  async session(db, { start, of }) {
    const session = db.withSession(start)
    const bookmarks = [session.getBookmark()]
    const results = []
    for (const { sql, bind } of of) {
      results.push((await statement(session, sql, bind).all()).results)
      bookmarks.push(session.getBookmark())
    }
    return { results, bookmarks }
  },
}

function statement(db, sql, bind) {
  const prepared = db.prepare(sql)
  return bind === undefined
    ? prepared
    : prepared.bind(...bind.map((value) => (value?.bytes ? new Uint8Array(value.bytes) : value)))
}

export default {
  async fetch(request, env) {
    if (request.method === 'GET') return new Response('ready')
    const { db = 'DB', step, ...rest } = await request.json()
    try {
      return Response.json({ value: await steps[step](env[db], rest) })
    } catch (error) {
      return Response.json({ error: error.message, cause: error.cause?.message })
    }
  },
}
