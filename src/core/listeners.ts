/** Those who want to hear of something, by name; a throwing or rejecting listener harms nobody. */
export interface Listeners<Message> {
  add(name: string, listener: (message: Message) => void): () => void
  /** Calls every listener of each name that `matches`, after the caller's own work is done. */
  tell(matches: (name: string) => boolean, message: Message): void
}

/** `report` hears what listeners throw. */
export function createListeners<Message>(report: (error: unknown) => void): Listeners<Message> {
  const all = new Set<{ readonly name: string; readonly listener: (message: Message) => unknown }>()

  async function call(listener: (message: Message) => unknown, message: Message): Promise<void> {
    try {
      await listener(message)
    } catch (error) {
      report(error)
    }
  }

  return {
    add(name, listener) {
      const member = { name, listener }
      all.add(member)
      return () => all.delete(member)
    },
    tell(matches, message) {
      for (const member of all) {
        if (!matches(member.name)) continue
        // Its own turn of the loop, in order; one that was removed meanwhile stays silent.
        setImmediate(() => {
          if (all.has(member)) void call(member.listener, message)
        })
      }
    },
  }
}
