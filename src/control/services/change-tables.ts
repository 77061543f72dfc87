/** Tables and address lists of services: they belong to a service, and change without a new version. */
import { Refusal } from '../refusal.ts'
import { newId } from './new-id.ts'
import type { NetworkTable, TableRecord, TextTable } from './service-records.ts'
import type { ServiceOffice } from './services.ts'

export interface ServiceTables {
  /** Returns the id of a new, empty table; a version names it in one of its parts. */
  createTable(service: string, kind: TableRecord['kind']): Promise<string>
  texts(service: string, table: string): TextTable
  networks(service: string, table: string): NetworkTable
  /** `change` returns the entries that the table shall have; all of them are served, or none. */
  editTexts(
    service: string,
    table: string,
    change: (entries: TextTable['entries']) => TextTable['entries'],
  ): Promise<void>
  editNetworks(
    service: string,
    table: string,
    change: (entries: NetworkTable['entries']) => NetworkTable['entries'],
  ): Promise<void>
}

export function createTables(office: ServiceOffice): ServiceTables {
  const { limits } = office

  function find<Kind extends TableRecord['kind']>(service: string, table: string, kind: Kind) {
    const record = office.held(service).tables.get(table)?.record
    if (record?.kind !== kind) throw new Refusal('no_part', `Service ${service} has no '${table.slice(0, 80)}'.`)
    return record as Extract<TableRecord, { kind: Kind }>
  }

  async function put(service: string, record: TableRecord): Promise<void> {
    if (record.entries.length > limits.tableEntries)
      throw new Refusal('too_many', `More than ${limits.tableEntries} entries.`)
    if (JSON.stringify(record).length > limits.tableBytes)
      throw new Refusal('too_many', `All entries together are larger than ${limits.tableBytes} bytes.`)
    await office.write({ id: service, tables: [{ id: record.id, record }] })
  }

  return {
    createTable: (service, kind) =>
      office.alone(service, async () => {
        if (office.held(service).tables.size >= limits.serviceTables)
          throw new Refusal('too_many', `A service has at most ${limits.serviceTables} tables and address lists.`)
        const id = newId()
        await put(service, { id, kind, entries: [] })
        return id
      }),
    texts: (service, table) => find(service, table, 'texts'),
    networks: (service, table) => find(service, table, 'networks'),
    editTexts: (service, table, change) =>
      office.alone(service, async () => {
        const record = find(service, table, 'texts')
        const entries = change(record.entries)
        for (const { key, value } of entries) checkText(key, value)
        await put(service, { ...record, entries })
      }),
    editNetworks: (service, table, change) =>
      office.alone(service, async () => {
        const record = find(service, table, 'networks')
        await put(service, { ...record, entries: change(record.entries) })
      }),
  }

  function checkText(key: string, value: string): void {
    if (key === '' || Buffer.byteLength(key) > limits.tableKeyBytes)
      throw new Refusal('bad_rule', `A key has 1 to ${limits.tableKeyBytes} bytes.`)
    if (Buffer.byteLength(value) > limits.tableValueBytes)
      throw new Refusal('bad_rule', `A value has at most ${limits.tableValueBytes} bytes.`)
  }
}
