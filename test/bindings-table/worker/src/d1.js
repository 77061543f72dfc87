import { equal, fails, refused, shaped, works } from './case.js'

const table = async (DB, name) => {
  await DB.exec(`DROP TABLE IF EXISTS ${name}`)
  await DB.exec(`CREATE TABLE ${name} (id INTEGER PRIMARY KEY, word TEXT)`)
}

export const d1 = [
  works('D1Database: exec; D1ExecResult: count duration', async ({ env: { DB } }) => {
    const told = await DB.exec('SELECT 1\nSELECT 2')
    equal(told.count, 2)
    shaped(told, { duration: 'number' })
  }),
  works(
    'D1Database: prepare; D1PreparedStatement: bind all; D1Result: results; D1Response: success',
    async ({ env: { DB } }) => {
      const told = await DB.prepare('SELECT ?1 AS a, ?2 AS b, ?3 AS c').bind(1, 'two', null).all()
      equal([told.success, told.results], [true, [{ a: 1, b: 'two', c: null }]])
      await fails(() => DB.prepare('SELECT ?1').bind(undefined).all(), /D1_TYPE_ERROR/)
      await fails(() => DB.prepare('SELEC 1').all(), /D1_ERROR: near "SELEC": syntax error at offset 0/)
    },
  ),
  works(
    'D1PreparedStatement: run; D1Response: meta; D1Meta: duration size_after rows_read rows_written last_row_id changed_db changes served_by_region served_by_colo served_by_primary timings total_attempts',
    async ({ env: { DB } }) => {
      await table(DB, 'ran')
      const { meta } = await DB.prepare("INSERT INTO ran (word) VALUES ('a'), ('b')").run()
      equal(
        [meta.changes, meta.last_row_id, meta.changed_db, meta.served_by_primary, meta.total_attempts],
        [2, 2, true, true, 1],
      )
      equal([meta.rows_written >= 2, meta.size_after > 0], [true, true])
      shaped(meta, { duration: 'number', rows_read: 'number', served_by_region: 'string', served_by_colo: 'string' })
      shaped(meta.timings, { sql_duration_ms: 'number' })
      equal((await DB.prepare('SELECT * FROM ran').run()).meta.rows_read, 2)
    },
  ),
  works('D1PreparedStatement: first raw', async ({ env: { DB } }) => {
    const statement = DB.prepare("SELECT 1 AS a, 'x' AS b")
    equal(await statement.first(), { a: 1, b: 'x' })
    equal(await statement.first('b'), 'x')
    await fails(() => statement.first('c'), /D1_COLUMN_NOTFOUND/)
    equal(await statement.raw(), [[1, 'x']])
    equal(await statement.raw({ columnNames: true }), [
      ['a', 'b'],
      [1, 'x'],
    ])
  }),
  works('D1Database: batch', async ({ env: { DB } }) => {
    await table(DB, 'batched')
    const add = DB.prepare('INSERT INTO batched VALUES (?, ?)')
    await fails(() => DB.batch([add.bind(1, 'a'), add.bind(1, 'b')]), /UNIQUE constraint failed/)
    const told = await DB.batch([add.bind(2, 'c'), DB.prepare('SELECT * FROM batched')])
    equal(told[1].results, [{ id: 2, word: 'c' }])
  }),
  works('D1Database: withSession; D1DatabaseSession: prepare batch getBookmark', async ({ env: { DB } }) => {
    await table(DB, 'sessions')
    const session = DB.withSession('first-primary')
    equal(session.getBookmark(), null)
    await session.batch([session.prepare("INSERT INTO sessions (word) VALUES ('kept')")])
    const later = DB.withSession(session.getBookmark())
    equal((await later.prepare('SELECT word FROM sessions').all()).results, [{ word: 'kept' }])
    equal(later.getBookmark() >= session.getBookmark(), true)
    await DB.withSession('first-unconstrained').prepare('SELECT 1').run()
  }),
  refused('D1Database: dump', 'for databases of the alpha: use `wrangler d1 export`', ({ env: { DB } }) =>
    fails(() => DB.dump(), /D1_DUMP_ERROR|dump/i),
  ),
  works('D1Response: error', ({ env: { DB } }) => fails(() => DB.prepare('SELECT absent').all(), /no such column/)),
]
