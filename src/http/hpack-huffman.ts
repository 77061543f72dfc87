/**
 * The Huffman code of HPACK (RFC 7541 §5.2, Appendix B). It is canonical: codes of one length follow the order of their
 * symbols, so the lengths say everything.
 */

/** Bits of the code of each byte; the last is the end-of-string symbol. */
// biome-ignore format: sixteen a line, as the table is read
export const huffmanLengths: readonly number[] = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
  28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
  5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
  7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
  6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
  24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
  21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
  19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
  26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
]

const endOfString = 256

/** Two numbers a node: below 0 a symbol (`-1 - symbol`), above 0 the next node. */
function buildTree(): Int16Array {
  const tree = new Int16Array(2 * huffmanLengths.length)
  let nodes = 1
  let code = 0
  for (let bits = 1; bits <= 30; bits++, code <<= 1)
    for (let symbol = 0; symbol <= endOfString; symbol++) {
      if (huffmanLengths[symbol] !== bits) continue
      let node = 0
      for (let bit = bits - 1; bit > 0; bit--) {
        const side = node * 2 + ((code >>> bit) & 1)
        if (tree[side] === 0) tree[side] = nodes++
        node = tree[side]!
      }
      tree[node * 2 + (code & 1)] = -1 - symbol
      code++
    }
  return tree
}

const failed = -1

/** Half a byte at a time: the next node in the low 9 bits, the symbol that was completed + 1 above; -1 where EOS would be. */
function buildSteps(tree: Int16Array): Int32Array {
  const steps = new Int32Array((tree.length / 2) * 16)
  for (let start = 0; start < tree.length / 2; start++)
    for (let half = 0; half < 16; half++) steps[start * 16 + half] = step(tree, start, half)
  return steps
}

function step(tree: Int16Array, start: number, half: number): number {
  let node = start
  let symbol = 0
  for (let bit = 3; bit >= 0; bit--) {
    const next = tree[node * 2 + ((half >>> bit) & 1)]!
    if (next === -1 - endOfString) return failed
    // No code is shorter than five bits, so half a byte completes one at most.
    if (next < 0) symbol = -next
    node = Math.max(next, 0)
  }
  return (symbol << 9) | node
}

const tree = buildTree()
const steps = buildSteps(tree)

/** Nodes at which a string may end: the beginning, and up to seven bits of ones behind it (§5.2). */
const mayEnd: ReadonlySet<number> = (() => {
  const nodes = new Set([0])
  let node = 0
  for (let bit = 0; bit < 7; bit++) {
    node = tree[node * 2 + 1]!
    nodes.add(node)
  }
  return nodes
})()

/** Writes the decoded bytes to `target` and returns their number; -1 for a string that is no Huffman code. */
export function decodeHuffman(source: Uint8Array, from: number, to: number, target: Uint8Array): number {
  let node = 0
  let length = 0
  for (let at = from; at < to; at++) {
    const byte = source[at]!
    const high = steps[node * 16 + (byte >>> 4)]!
    if (high === failed) return -1
    if (high > 511) target[length++] = (high >>> 9) - 1
    const low = steps[(high & 511) * 16 + (byte & 15)]!
    if (low === failed) return -1
    if (low > 511) target[length++] = (low >>> 9) - 1
    node = low & 511
  }
  return mayEnd.has(node) ? length : -1
}
