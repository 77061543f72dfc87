/** Closes what was opened, last first, each in its own time; a failure to close one does not leave the others open. */
export function createCloser() {
  const steps: (() => unknown)[] = []
  return {
    add: (step: () => unknown) => void steps.push(step),
    async close(): Promise<void> {
      const failures: unknown[] = []
      for (const step of steps.splice(0).reverse()) {
        try {
          await step()
        } catch (failure) {
          failures.push(failure)
        }
      }
      if (failures.length > 0) throw new AggregateError(failures, 'Some parts of the node did not close.')
    },
  }
}

export type Closer = ReturnType<typeof createCloser>

/** Starts something in several steps: when one of them fails, what was opened by then is closed again. */
export async function startWhole<Started>(start: (closer: Closer) => Promise<Started>): Promise<Started> {
  const closer = createCloser()
  try {
    return await start(closer)
  } catch (error) {
    await closer.close().catch(() => {})
    throw error
  }
}
