/** Runs in a process of its own, see `look-apart.ts`: prints what lies in a folder, as JSON. */
import { type AuditOptions, auditFolder } from './audit-folder.ts'

const { folder, ...options } = JSON.parse(process.argv[2]!) as AuditOptions & { readonly folder: string }
process.stdout.write(JSON.stringify(await auditFolder(folder, options)))
