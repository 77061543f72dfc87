import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readQuery } from './read-query.ts'
import { readyQuery, storedColumns } from './run-query.ts'
import { datasetOf, describeRefusal, SqlRefusal } from './syntax.ts'
import type { Value } from './values.ts'
import { writeOutcome } from './write-outcome.ts'

/** Tuesday 2026-11-24 12:00:00 UTC. */
const now = Date.UTC(2026, 10, 24, 12) / 1000

const point = (minutesAgo: number, city: string, value: number, more: Record<string, Value> = {}) => ({
  ...{ timestamp: now - 60 * minutesAgo, index1: city.slice(0, 1), blob1: city, double1: value },
  ...more,
})
const points: Record<string, Value>[] = [
  point(130, 'Austin', 10),
  point(70, 'Berlin', 20, { blob2: 'wärm' }),
  point(61, 'Austin', 30),
  point(10, 'Çeşme', 40, { double2: Number.NaN }),
  point(1, 'Austin', 50, { double2: 1.5 }),
]

function ask(sql: string, hold = (_: number) => {}): string {
  try {
    const query = readQuery(sql)
    assert.ok(query.kind === 'select')
    const ready = readyQuery(query.select, datasetOf(query.select)?.name ?? '', { now })
    const rows = points.map((one) =>
      (ready.reading?.columns ?? []).map((name) => one[name] ?? (storedColumns.get(name) === 'String' ? '' : 0)),
    )
    return writeOutcome(ready.columns, ready.run(rows, hold), query.format)
  } catch (thrown) {
    if (thrown instanceof SqlRefusal) return describeRefusal(thrown, sql)
    throw thrown
  }
}

const data = (sql: string) => {
  const text = ask(sql)
  assert.match(text, /^\{/, text)
  return (JSON.parse(text) as { data: Record<string, unknown>[] }).data
}

test('expressions are what the documentation says', () => {
  const cases: [expression: string, value: unknown][] = [
    ["'it''s'", "it's"],
    ["'it\\'s'", "it's"],
    ['1 + 2 * 3', 7],
    ['-2 - -3', 1],
    ['7 / 2', 3.5],
    ['7 % 4', 3],
    ['1 / 0', null],
    ['(1 + 2) * 3 = 9 AND NOT false', 1],
    ['2 BETWEEN 1 AND 3', 1],
    ['2 NOT BETWEEN 1 AND 3', 0],
    ["'b' IN ('a', 'b')", 1],
    ['3 NOT IN (1, 2)', 1],
    ["'error: x' LIKE 'err%'", 1],
    ["'a.JPG' ILIKE '%.jpg'", 1],
    ["'log12' LIKE 'log__'", 1],
    ["'log1' NOT LIKE 'log__'", 1],
    ["'a%b' LIKE 'a\\\\%b'", 1],
    [`'${'a'.repeat(3000)}' LIKE '${'%a'.repeat(20)}b'`, 0],
    ["if(1 < 2, 'yes', 'no')", 'yes'],
    ['if(true, 1, 0.5)', 1],
    ['intDiv(7, 2)', 3],
    ['round(5.5)', 6],
    ['round(4.5)', 4],
    ['round(3.14, 1)', 3.1],
    ['floor(3.14, 1)', 3.1],
    ['ceil(3.14, 1)', 3.2],
    ['ceil(3.1, 1)', 3.1],
    ['pow(2, 10)', 1024],
    ['round(log(2.718281828459045))', 1],
    ["length('Çeşme')", '5'],
    ["empty('')", 1],
    ["lower('ÄB')", 'Äb'],
    ["lowerUTF8('ÄB')", 'äb'],
    ["toUpper('äb')", 'ÄB'],
    ["startsWith('prefix', 'pre') AND endsWith('suffix', 'fix')", 1],
    ["position(':' IN 'hello: world')", '6'],
    ["substring('hello world', 7)", 'world'],
    ["substring('hello: world', 1, position(':' IN 'hello: world')-1)", 'hello'],
    ["format('{} of {}', 1, 'two')", '1 of two'],
    ['bitAnd(1, 3)', 1],
    ['bitOr(1, 2)', 3],
    ['bitXor(3, 3)', 0],
    ['bitNot(1)', 254],
    ['bitHammingDistance(3, 0)', 2],
    ['bitRotateLeft(128, 1)', 1],
    ['bitRotateRight(1, 1)', 128],
    ['bitShiftLeft(128, 1)', 0],
    ['bitShiftRight(12, 2)', 3],
    ['bitTest(2, 1)', 1],
    ['bitCount(7)', 3],
    ["hex('abc')", '616263'],
    ['bin(1)', '00000001'],
    ["toUInt32('42')", 42],
    ['toUInt8(300)', 44],
    ['now()', '2026-11-24 12:00:00'],
    ['today()', '2026-11-24'],
    ["now() - INTERVAL '1' DAY", '2026-11-23 12:00:00'],
    ["toDateTime('2024-02-29 00:00:00') + INTERVAL '1' YEAR", '2025-02-28 00:00:00'],
    ['toUnixTimestamp(now())', now],
    ['toDateTime(355924804)', '1981-04-12 12:00:04'],
    ["toDateTime('355924804')", '1981-04-12 12:00:04'],
    ["toUnixTimestamp(toDateTime('2022-12-01 16:17:00', 'America/New_York'))", Date.UTC(2022, 11, 1, 21, 17) / 1000],
    ["formatDateTime(toDateTime('2022-12-01 16:17:00', 'America/New_York'), '%Y-%m-%d %H:%i')", '2022-12-01 16:17'],
    ["formatDateTime(toDateTime('2022-12-01 22:17:00', 'America/New_York'), '%F', 'Etc/UTC')", '2022-12-02'],
    ["toStartOfInterval(toDateTime('2025-10-27 16:55:25'), INTERVAL '15' MINUTE)", '2025-10-27 16:45:00'],
    [
      "toStartOfInterval(toDateTime('2025-10-27 02:55:25'), INTERVAL '1' DAY, 'America/New_York')",
      '2025-10-26 04:00:00',
    ],
    ["toStartOfYear(toDateTime('2025-10-27 00:00:00'))", '2025-01-01 00:00:00'],
    ["toStartOfMonth(toDateTime('2025-10-27 00:00:00'))", '2025-10-01 00:00:00'],
    ["toStartOfWeek(toDateTime('2025-10-29 00:00:00'))", '2025-10-27 00:00:00'],
    ["toStartOfFiveMinutes(toDateTime('2025-10-27 16:58:25'))", '2025-10-27 16:55:00'],
    ["toDayOfWeek(toDateTime('2025-11-02 00:00:00'))", 7],
    ["toYYYYMM(toDateTime('2025-10-27 16:55:25'))", 202510],
    ["extract(SECOND from toDateTime('2022-06-06 11:30:15'))", 15],
    ["toDateTime('2022-01-01 00:00:00') < now()", 1],
  ]
  for (const [expression, value] of cases)
    assert.deepEqual(data(`SELECT ${expression} AS v`), [{ v: value }], expression)
})

test('points are filtered, gathered and put in order', () => {
  assert.deepEqual(data("SELECT blob1 AS city, double1 FROM t WHERE timestamp > NOW() - INTERVAL '1' HOUR"), [
    { city: 'Çeşme', double1: 40 },
    { city: 'Austin', double1: 50 },
  ])
  assert.deepEqual(
    data(
      'SELECT blob1 AS city, count() AS n, SUM(_sample_interval * double1) / SUM(_sample_interval) AS mean FROM t GROUP BY city ORDER BY n DESC, city',
    ),
    [
      { city: 'Austin', n: '3', mean: 30 },
      { city: 'Berlin', n: '1', mean: 20 },
      { city: 'Çeşme', n: '1', mean: 40 },
    ],
  )
  assert.deepEqual(
    data(
      "SELECT toStartOfInterval(timestamp, INTERVAL '1' HOUR) AS hour, sum(_sample_interval) AS count FROM t GROUP BY hour ORDER BY hour ASC",
    ),
    [
      { hour: '2026-11-24 09:00:00', count: '1' },
      { hour: '2026-11-24 10:00:00', count: '2' },
      { hour: '2026-11-24 11:00:00', count: '2' },
    ],
  )
  assert.deepEqual(
    data('SELECT index1, avg(double1) AS mean FROM t GROUP BY index1 HAVING mean > 25 AND count() >= 2'),
    [{ index1: 'A', mean: 30 }],
  )
  assert.deepEqual(data('SELECT max(n) AS most FROM (SELECT blob1 AS city, count() AS n FROM t GROUP BY city)'), [
    { most: '3' },
  ])
  assert.deepEqual(data('SELECT double1 FROM t ORDER BY double1 DESC LIMIT 2 OFFSET 1'), [
    { double1: 40 },
    { double1: 30 },
  ])
  assert.deepEqual(data("SELECT count() AS n, max(double1) AS most, avg(double1) AS mean FROM t WHERE blob1 = 'no'"), [
    { n: '0', most: 0, mean: null },
  ])
  assert.equal(Object.keys(data('SELECT * FROM t LIMIT 1')[0]!).length, 44)
})

test('aggregate functions are what the documentation says', () => {
  const cases: [expression: string, value: unknown][] = [
    ['count(*)', '5'],
    ['count(DISTINCT blob1)', '3'],
    ['sum(DISTINCT _sample_interval)', '1'],
    ['min(timestamp)', '2026-11-24 09:50:00'],
    ['max(double1)', 50],
    ['quantileExactWeighted(0.5)(double1, _sample_interval)', 30],
    ['quantileWeighted(0.95, double1, _sample_interval)', 50],
    ['countIf(double1 > 20)', '3'],
    ["sumIf(double1, blob1 = 'Austin')", 90],
    ['argMax(blob1, double1)', 'Austin'],
    ['argMin(double1, timestamp)', 10],
    ['first_value(double1)', 10],
    ['last_value(blob1)', 'Austin'],
    ['topK(2)(blob1)', ['Austin', 'Berlin']],
    ['topKWeighted(1)(blob1, double1)', ['Austin']],
    ["format('{}', topK(1)(blob1))", "['Austin']"],
  ]
  for (const [expression, value] of cases) assert.deepEqual(data(`SELECT ${expression} AS v FROM t`), [{ v: value }])
})

test('answers come in three formats', () => {
  const sql = 'SELECT blob1, count() AS n, double2 FROM t WHERE double1 >= 40 GROUP BY blob1, double2'
  assert.deepEqual(JSON.parse(ask(sql)), {
    meta: [
      { name: 'blob1', type: 'String' },
      { name: 'n', type: 'UInt64' },
      { name: 'double2', type: 'Float64' },
    ],
    data: [
      { blob1: 'Çeşme', n: '1', double2: null },
      { blob1: 'Austin', n: '1', double2: 1.5 },
    ],
    rows: 2,
    rows_before_limit_at_least: 2,
  })
  assert.equal(
    ask(`${sql} FORMAT JSONEachRow`),
    '{"blob1":"Çeşme","n":"1","double2":null}\n{"blob1":"Austin","n":"1","double2":1.5}\n',
  )
  assert.equal(ask(`${sql} FORMAT TabSeparated;`), 'Çeşme\t1\tnan\nAustin\t1\t1.5\n')
  assert.equal(ask("SELECT 'a\\tb' AS x FORMAT TabSeparated"), 'a\\tb\n')
})

test('what is not there is refused by name and place', () => {
  const cases: [sql: string, says: RegExp][] = [
    ['', /Expected: SELECT or SHOW, found: EOF at Line: 1, Column: 1$/],
    ['DROP TABLE t', /unsupported statement type: DROP at Line: 1, Column: 1$/],
    ['SELECT 1; SELECT 2', /Expected: end of statement, found: SELECT at Line: 1, Column: 11$/],
    ['SELECT\n  blob21 FROM t', /^Input was invalid: unable to find type of column: blob21 at Line: 2, Column: 3$/],
    ['SELECT uniq(blob1) FROM t', /unknown function call: uniq at/],
    ['SELECT CASE WHEN 1 THEN 2 END FROM t', /unsupported expression type: CASE/],
    ['SELECT 1 FROM a, b', /unsupported: more than one table/],
    ['SELECT 1 FROM a JOIN b', /unsupported: JOIN/],
    ['SELECT 1 UNION ALL SELECT 2', /unsupported: UNION/],
    ['SELECT DISTINCT blob1 FROM t', /unsupported: SELECT DISTINCT/],
    ['SELECT 1 FROM t WHERE blob1 IN (SELECT 1)', /unsupported: subqueries in IN/],
    ['SELECT 1 FROM t WHERE blob1 IS NULL', /unsupported: IS NULL/],
    ['SELECT max(blob5) FROM t', /cannot use the String type as argument 1 in max\(\)/],
    ["SELECT if(1, 'a', 2)", /the 2nd and 3rd arguments to IF\(\) must have the same type/],
    ['SELECT blob1 + 1 FROM t', /cannot use the String type with the \+ operator/],
    ["SELECT 1 FROM t WHERE double1 = 'x'", /cannot compare the Float64 type with the String type/],
    ['SELECT blob1, count() FROM t', /column blob1 is neither in GROUP BY nor under an aggregate function/],
    ['SELECT 1 FROM t WHERE count() > 1', /aggregate function count\(\) cannot stand here/],
    ['SELECT sum(count()) FROM t', /aggregate function count\(\) cannot stand here/],
    ['SELECT substring(blob1) FROM t', /substring\(\) takes 2 to 3 arguments, not 1/],
    ['SELECT 1 FORMAT CSV', /unsupported format: CSV/],
    ["SELECT 'open", /unterminated string at Line: 1, Column: 8/],
    ['SELECT 1 ? 2', /unexpected character "\?"/],
    ["SELECT now() - INTERVAL '1' FORTNIGHT", /unsupported interval unit: FORTNIGHT/],
    ["SELECT toDateTime('soon')", /cannot parse 'soon' as a DateTime/],
    ["SELECT toDateTime(1, 'Mars/Olympus')", /unknown timezone: Mars\/Olympus/],
    ["SELECT formatDateTime(now(), '%q')", /formatDateTime\(\) knows no %q/],
    [`SELECT ${'('.repeat(200)}1${')'.repeat(200)}`, /nested more than 64 levels deep/],
    [`SELECT 1${' + 1'.repeat(6000)}`, /more than 300 terms in each other/],
    [
      `SELECT 'a' AS a0, ${Array.from({ length: 30 }, (_, n) => `format('{}{}', a${n}, a${n}) AS a${n + 1}`).join(', ')}`,
      /more than 5000 terms/,
    ],
    [`SELECT 1 IN (${'1, '.repeat(6000)}1)`, /more than 5000 terms/],
    ['SELECT t.blob1 FROM t', /unsupported: names with a dot/],
    ['SELECT sum(double1) OVER (PARTITION BY blob1) FROM t', /unsupported: window functions/],
  ]
  for (const [sql, says] of cases) assert.match(ask(sql), says, sql.slice(0, 80))
})

test('what a query holds is counted', () => {
  let held = 0
  ask('SELECT blob1, topK(double1) FROM t GROUP BY blob1', (bytes) => {
    held += bytes
  })
  assert.ok(held > 500, String(held))
})

test('only what can matter is read', () => {
  const reading = (sql: string) => {
    const query = readQuery(sql)
    assert.ok(query.kind === 'select')
    return readyQuery(query.select, 't', { now }).reading
  }
  assert.deepEqual(
    reading("SELECT count() FROM t WHERE timestamp >= now() - INTERVAL '1' HOUR AND 'x' = blob1 AND double1 > 1"),
    { columns: ['timestamp', 'blob1', 'double1'], from: now - 3600, equal: [{ column: 'blob1', text: 'x' }] },
  )
  assert.deepEqual(reading("SELECT count() FROM t WHERE blob1 = 'x' OR timestamp > now()")?.equal, [])
  assert.deepEqual(
    reading('SELECT toStartOfHour(timestamp) AS timestamp FROM t WHERE timestamp BETWEEN 100 AND toDateTime(200)'),
    { columns: ['timestamp'], from: 100, to: 200, equal: [] },
  )
})
