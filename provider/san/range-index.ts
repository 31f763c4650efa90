// Finds a range that contains another one, among very many that may overlap: a treap ordered by
// start, in which every node knows how far its subtree reaches. Knows nothing of memory or sockets.
// A sorted array would shift half of itself at every insertion; this stays logarithmic.

export interface AddressRange {
  readonly address: number;
  /** One past the last byte. */
  readonly end: number;
  /** Different for every range of one index: it tells apart ranges that start together. */
  readonly serial: number;
}

interface Node<Range extends AddressRange> {
  readonly range: Range;
  readonly priority: number;
  left: Node<Range> | null;
  right: Node<Range> | null;
  /** The highest end in this subtree. */
  reach: number;
}

export class RangeIndex<Range extends AddressRange> {
  readonly #random: () => number;
  #root: Node<Range> | null = null;

  /** `random` balances the tree; it need not be secret. */
  constructor(random: () => number) {
    this.#random = random;
  }

  add(range: Range): void {
    const priority = this.#random();
    const fresh: Node<Range> = { range, priority, left: null, right: null, reach: range.end };
    this.#root = insert(this.#root, fresh);
  }

  /** Takes out a range that was added. */
  remove(range: Range): void {
    this.#root = without(this.#root, range);
  }

  /** Some range that contains [address, end), or null. Allocates nothing. */
  containing(address: number, end: number): Range | null {
    let node = this.#root;
    while (node !== null && node.reach >= end) {
      if (node.range.address > address) {
        node = node.left;
        continue;
      }
      // All of the left subtree starts early enough: one of it contains the range if it reaches.
      if (node.range.end >= end) return node.range;
      if (node.left !== null && node.left.reach >= end) return reaching(node.left, end);
      node = node.right;
    }
    return null;
  }

  /** Every range that has something in common with [address, end), lowest start first. */
  touching(address: number, end: number): Range[] {
    const found: Range[] = [];
    collect(this.#root, address, end, found);
    return found;
  }
}

function collect<Range extends AddressRange>(
  node: Node<Range> | null,
  address: number,
  end: number,
  found: Range[],
): void {
  if (node === null || node.reach <= address) return;
  collect(node.left, address, end, found);
  if (node.range.address >= end) return;
  if (node.range.end > address) found.push(node.range);
  collect(node.right, address, end, found);
}

/** A range of a subtree that is known to reach `end`. */
function reaching<Range extends AddressRange>(start: Node<Range>, end: number): Range | null {
  let node: Node<Range> | null = start;
  while (node !== null) {
    if (node.range.end >= end) return node.range;
    node = node.left !== null && node.left.reach >= end ? node.left : node.right;
  }
  return null;
}

function isBefore(one: AddressRange, other: AddressRange): boolean {
  return one.address === other.address ? one.serial < other.serial : one.address < other.address;
}

function update(node: Node<AddressRange>): void {
  let reach = node.range.end;
  if (node.left !== null && node.left.reach > reach) reach = node.left.reach;
  if (node.right !== null && node.right.reach > reach) reach = node.right.reach;
  node.reach = reach;
}

function insert<Range extends AddressRange>(
  node: Node<Range> | null,
  fresh: Node<Range>,
): Node<Range> {
  if (node === null) return fresh;
  if (fresh.priority > node.priority) {
    split(node, fresh);
    update(fresh);
    return fresh;
  }
  if (isBefore(fresh.range, node.range)) node.left = insert(node.left, fresh);
  else node.right = insert(node.right, fresh);
  update(node);
  return node;
}

/** Leaves what comes before `at` in at.left and the rest in at.right. */
function split<Range extends AddressRange>(node: Node<Range> | null, at: Node<Range>): void {
  if (node === null) {
    at.left = null;
    at.right = null;
  } else if (isBefore(node.range, at.range)) {
    split(node.right, at);
    node.right = at.left;
    update(node);
    at.left = node;
  } else {
    split(node.left, at);
    node.left = at.right;
    update(node);
    at.right = node;
  }
}

function without<Range extends AddressRange>(
  node: Node<Range> | null,
  range: Range,
): Node<Range> | null {
  if (node === null) return null;
  if (node.range === range) return merged(node.left, node.right);
  if (isBefore(range, node.range)) node.left = without(node.left, range);
  else node.right = without(node.right, range);
  update(node);
  return node;
}

/** One tree of two, where everything in `low` comes before everything in `high`. */
function merged<Range extends AddressRange>(
  low: Node<Range> | null,
  high: Node<Range> | null,
): Node<Range> | null {
  if (low === null) return high;
  if (high === null) return low;
  if (low.priority > high.priority) {
    low.right = merged(low.right, high);
    update(low);
    return low;
  }
  high.left = merged(low, high.left);
  update(high);
  return high;
}
