/** Where commands read and write; handed over so that tests see what a person would. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly folder: string
  out(line: string): void
  err(line: string): void
}

/** Rows as columns padded with spaces, the first row being the heading. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
