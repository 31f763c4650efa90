// What the processes that share a socket say to each other, as bytes: one line of JSON, and behind it
// the state of the connection where there is one. Two processes of different builds may meet, so
// nothing in it is believed unchecked. Source: docs/duplication.md, "Control"; DUP-03, DUP-04.

export type ControlMessage =
  /** A process that shares the socket, at whoever it believes to have control, in this term. */
  | {
      readonly kind: 'join';
      readonly name: string;
      readonly wants: boolean;
      readonly term: number;
    }
  /** It has something to do that needs control. */
  | { readonly kind: 'want' }
  /** Its application has closed the socket. */
  | { readonly kind: 'leave' }
  /** Yes, and nothing more will come. */
  | { readonly kind: 'bye' }
  /** Somebody else has control, or is about to, in this term. */
  | { readonly kind: 'moved'; readonly name: string; readonly term: number }
  /** Control is yours, and others wait for it in this order. */
  | {
      readonly kind: 'grant';
      /** Counts the moves. */
      readonly term: number;
      readonly from: string;
      readonly waiting: readonly string[];
      readonly state: Uint8Array;
    }
  /** The connection is at its end: 0 after a graceful one. */
  | { readonly kind: 'ended'; readonly error: number };

const NAME = /^[0-9a-f]{32}$/;
const NEWLINE = 10;
const NO_BYTES = new Uint8Array(0);
const WAITING_MAX = 1_000;

export function isName(value: unknown): value is string {
  return typeof value === 'string' && NAME.test(value);
}

export function encodeMessage(message: ControlMessage): Uint8Array {
  const { state, ...head } = { state: NO_BYTES, ...message };
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), state]);
}

/** null for what no process of ours says. */
export function decodeMessage(bytes: Uint8Array): ControlMessage | null {
  const end = bytes.indexOf(NEWLINE);
  const head = end < 0 ? null : objectOf(bytes.subarray(0, end));
  if (head === null) return null;
  const { kind, name, wants, from, waiting, error } = head;
  const term = isTerm(head['term']) ? head['term'] : null;
  switch (kind) {
    case 'want':
    case 'leave':
    case 'bye':
      return { kind };
    case 'join':
      if (!isName(name) || typeof wants !== 'boolean' || term === null) return null;
      return { kind, name, wants, term };
    case 'moved':
      return isName(name) && term !== null ? { kind, name, term } : null;
    case 'ended':
      return isCount(error) ? { kind, error } : null;
    case 'grant': {
      const isGood = isName(from) && Array.isArray(waiting) && waiting.length <= WAITING_MAX;
      if (!isGood || !waiting.every(isName) || term === null) return null;
      return { kind, term, from, waiting, state: bytes.subarray(end + 1) };
    }
    default:
      return null;
  }
}

/** The object that the bytes are as JSON; null: they are none. */
export function objectOf(bytes: Uint8Array): Readonly<Record<string, unknown>> | null {
  let found: unknown;
  try {
    found = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return null;
  }
  const isObject = typeof found === 'object' && found !== null && !Array.isArray(found);
  return isObject ? (found as Readonly<Record<string, unknown>>) : null;
}

/** -1: whoever has control, it was not told which move that was. */
function isTerm(value: unknown): value is number {
  return value === -1 || isCount(value);
}

export function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff_ffff;
}
