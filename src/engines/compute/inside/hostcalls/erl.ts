/** `fastly_erl`: rate counters and penalty boxes. They live in the node, so that all cells count together. */
import { askNode } from '../ask-node.ts'
import type { HostcallModule } from '../hostcall.ts'
import type { Sandbox } from '../sandbox.ts'

/** Asks with the name of a counter or box and an entry; the answer is a number. */
async function ask(
  sandbox: Sandbox,
  what: string,
  [name, nameLength, entry, entryLength]: readonly [number, number, number, number],
  facts: { readonly [name: string]: number | string },
  out?: number,
): Promise<void> {
  const { memory } = sandbox
  const named = { name: memory.text(name, nameLength), entry: memory.text(entry, entryLength) }
  const { head } = await askNode(sandbox, what, { ...named, ...facts })
  if (out !== undefined) memory.u32(out, head.value as number)
}

export const erl: HostcallModule = {
  name: 'fastly_erl',
  waits: new Set([
    'check_rate',
    'ratecounter_increment',
    'ratecounter_lookup_rate',
    'ratecounter_lookup_count',
    'penaltybox_add',
    'penaltybox_has',
  ]),
  calls: {
    check_rate(sandbox, rc, rcLength, entry, entryLength, delta, window, limit, pb, pbLength, ttl, out) {
      const facts = { delta: delta >>> 0, window, limit: limit >>> 0, box: sandbox.memory.text(pb, pbLength), ttl }
      return ask(sandbox, 'rate.check', [rc, rcLength, entry, entryLength], facts, out)
    },
    ratecounter_increment: (sandbox, rc, rcLength, entry, entryLength, delta: number) =>
      ask(sandbox, 'rate.increment', [rc, rcLength, entry, entryLength], { delta: delta >>> 0 }),
    ratecounter_lookup_rate: (sandbox, rc, rcLength, entry, entryLength, window: number, out: number) =>
      ask(sandbox, 'rate.rate', [rc, rcLength, entry, entryLength], { window }, out),
    ratecounter_lookup_count: (sandbox, rc, rcLength, entry, entryLength, duration: number, out: number) =>
      ask(sandbox, 'rate.count', [rc, rcLength, entry, entryLength], { duration }, out),
    penaltybox_add: (sandbox, pb, pbLength, entry, entryLength, ttl: number) =>
      ask(sandbox, 'penalty.add', [pb, pbLength, entry, entryLength], { ttl }),
    penaltybox_has: (sandbox, pb, pbLength, entry, entryLength, out: number) =>
      ask(sandbox, 'penalty.has', [pb, pbLength, entry, entryLength], {}, out),
  },
}
