/** `npm run docs`: writes the pages that are made from tables in the code. Tests hold page and table together. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compatibilityPage } from '../test/compatibility/rows.ts'

writeFileSync(join(import.meta.dirname, '../docs/compatibility.md'), compatibilityPage())
