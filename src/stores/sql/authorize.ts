/**
 * What programs may do in their database: the vendor's list, as its runtime has it (workerd: src/workerd/util/sqlite.c++).
 * No other file is reached, nothing native is loaded, and names that begin with `_cf_` are the platform's own.
 */
import { constants as sqlite } from 'node:sqlite'

/** Seen while a statement is prepared. */
export interface Seen {
  /** It may change something, be it a setting of the connection. */
  writes: boolean
  /** It changes the schema. */
  alters: boolean
  pragma: boolean
}

export const nothingSeen = (): Seen => ({ writes: false, alters: false, pragma: false })

const functions = new Set(
  `abs changes char coalesce concat concat_ws format glob hex ifnull iif instr last_insert_rowid length like likelihood
  likely lower ltrim max_scalar min_scalar nullif octet_length printf quote random randomblob replace round rtrim sign
  soundex substr substring total_changes trim typeof unhex unicode unlikely upper zeroblob date time datetime julianday
  unixepoch strftime timediff current_date current_time current_timestamp avg count group_concat max min string_agg sum
  total row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value acos acosh asin
  asinh atan atan2 atanh ceil cos cosh degrees exp floor ln log log2 mod pi pow radians sin sinh sqrt tan tanh trunc json
  jsonb json_array jsonb_array json_array_length json_extract jsonb_extract -> ->> json_insert jsonb_insert json_object
  jsonb_object json_patch jsonb_patch json_remove jsonb_remove json_replace jsonb_replace json_set jsonb_set json_type
  json_valid json_quote json_group_array jsonb_group_array json_group_object jsonb_group_object json_each json_tree match
  highlight bm25 snippet rtreecheck sqlite_rename_column sqlite_rename_table sqlite_rename_test sqlite_drop_column
  sqlite_rename_quotefix`.split(/\s+/),
)

const isBoolean = (value: string) => /^(['"]?)(true|false|yes|no|on|off|1|0)\1$/i.test(value)
const isNumber = (value: string) => /^-?\d+$/.test(value)
const isOpenName = (name: string) => !name.toLowerCase().startsWith('_cf_')

type Argument = (value: string | null) => boolean
const none: Argument = (value) => value === null
const boolean: Argument = (value) => value === null || isBoolean(value)
const name: Argument = (value) => value !== null && isOpenName(value)
const maybeName: Argument = (value) => value === null || isOpenName(value)
const maybeNumber: Argument = (value) => value === null || isNumber(value)

const pragmas: Readonly<Record<string, Argument | undefined>> = {
  data_version: none,
  page_size: none,
  table_list: () => true,
  table_info: name,
  table_xinfo: name,
  case_sensitive_like: boolean,
  foreign_keys: boolean,
  defer_foreign_keys: boolean,
  ignore_check_constraints: boolean,
  legacy_alter_table: boolean,
  recursive_triggers: boolean,
  reverse_unordered_selects: boolean,
  foreign_key_check: maybeName,
  foreign_key_list: name,
  index_info: name,
  index_list: name,
  index_xinfo: name,
  quick_check: maybeName,
  optimize: maybeNumber,
}

const modules = new Set(['fts5', 'fts5vocab', 'rtree', 'rtree_i32'])

const reads = new Set<number>([
  sqlite.SQLITE_SELECT,
  sqlite.SQLITE_READ,
  sqlite.SQLITE_FUNCTION,
  sqlite.SQLITE_RECURSIVE,
])
const rows = new Set<number>([sqlite.SQLITE_INSERT, sqlite.SQLITE_UPDATE, sqlite.SQLITE_DELETE])
const named = new Set<number>([
  sqlite.SQLITE_CREATE_TABLE,
  sqlite.SQLITE_DROP_TABLE,
  sqlite.SQLITE_CREATE_VIEW,
  sqlite.SQLITE_DROP_VIEW,
  sqlite.SQLITE_REINDEX,
  sqlite.SQLITE_READ,
  ...rows,
])
const twiceNamed = new Set<number>([
  sqlite.SQLITE_CREATE_INDEX,
  sqlite.SQLITE_DROP_INDEX,
  sqlite.SQLITE_CREATE_TRIGGER,
  sqlite.SQLITE_DROP_TRIGGER,
])

/**
 * As `sqlite3_set_authorizer` asks it; notes in `seen` what is asked for. Transactions are ours: a request is one already.
 */
export function isAllowed(
  seen: Seen,
  action: number,
  first: string | null,
  second: string | null,
  database: string | null,
): boolean {
  if (!reads.has(action)) seen.writes = true
  // Of a rename SQLite gives the database first (sqlite.h has it otherwise).
  const alters = action === sqlite.SQLITE_ALTER_TABLE
  const where = alters ? first : database
  // `ALTER TABLE` looks into the schema of what is temporary too, where nothing can be.
  if (where !== null && where !== 'main')
    return where === 'temp' && (reads.has(action) || action === sqlite.SQLITE_UPDATE)
  if (alters) {
    seen.alters = true
    return second === null || isOpenName(second)
  }
  if (named.has(action)) {
    seen.alters ||= !rows.has(action) && action !== sqlite.SQLITE_READ
    return first === null || isOpenName(first)
  }
  if (twiceNamed.has(action)) {
    seen.alters = true
    return isOpenName(first ?? '') && isOpenName(second ?? '')
  }
  switch (action) {
    case sqlite.SQLITE_SELECT:
    case sqlite.SQLITE_RECURSIVE:
    case sqlite.SQLITE_ANALYZE:
      return true
    case sqlite.SQLITE_FUNCTION:
      return functions.has((second ?? '').toLowerCase())
    case sqlite.SQLITE_PRAGMA:
      seen.pragma = true
      return pragmas[(first ?? '').toLowerCase()]?.(second) ?? false
    case sqlite.SQLITE_CREATE_VTABLE:
    case sqlite.SQLITE_DROP_VTABLE:
      seen.alters = true
      return modules.has((second ?? '').toLowerCase()) && isOpenName(first ?? '')
    default:
      return false
  }
}
