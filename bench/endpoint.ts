// What the measuring loops need of a connection, whatever it is made of: slots of memory for sending
// and receiving, operations started on a slot, and their outcomes. Every slot has one operation at a
// time; nothing here or in an implementation allocates once the connection stands, promises apart.

/** Buffers of each direction that transfers rotate over, unless a plan says otherwise. */
export const SLOT_COUNT = 16;

export interface Endpoint {
  /** From the beginning of one slot to the next: a multiple of 4. */
  readonly slotBytes: number;
  readonly slotCount: number;
  /** The sending slots as words, slot after slot: the counter of slot n is word n * slotBytes / 4. */
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  /** What the peer needs for startWrite and startRead; empty above the switch. */
  readonly descriptor: readonly number[];
  /** Takes the peer's `descriptor`. */
  aim(descriptor: readonly number[]): void;
  /** Posts a receive of up to `bytes`. */
  postReceive(slot: number, bytes: number): void;
  /**
   * Waits for the receive or the read of a slot; the bytes that arrived, 0 at the end. Throws
   * WsaError, DeadlineError.
   */
  awaitReceive(slot: number): number;
  startSend(slot: number, bytes: number): void;
  /** Writes a sending slot into the same receiving slot of the peer; `awaitSend` waits for it. */
  startWrite(slot: number, bytes: number): void;
  /** Reads the peer's sending slot into the same receiving slot; `awaitReceive` waits for it. */
  startRead(slot: number, bytes: number): void;
  /** Waits until the send or write of a slot is done. Throws WsaError, DeadlineError. */
  awaitSend(slot: number): void;
  /**
   * Lets this connection move on, for a loop that looks at memory and at nothing else: one look at the
   * receive of `slot`, to which nothing comes.
   */
  drive(slot: number): void;
  /** The same as awaitReceive and awaitSend, in an event loop. */
  received(slot: number): Promise<number>;
  sent(slot: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * How a loop learns of an outcome: spinning on it (hEvent tagged), asleep until an event is signalled,
 * by a completion routine, from a completion port, or by promises in an event loop.
 */
export type WaitMode = 'spin' | 'sleep' | 'routine' | 'port' | 'promise';

/** Where the slots lie: in the host's segment, or in an ordinary ArrayBuffer. */
export type SlotMemory = 'virtual' | 'buffer';

export interface EndpointOptions {
  readonly slotBytes: number;
  readonly mode: WaitMode;
  /** Default: SLOT_COUNT. */
  readonly slotCount?: number;
  readonly memory?: SlotMemory;
  /** Default true: `close` closes the host or provider, too. */
  readonly ownsHost?: boolean;
}

/** How long any single operation may take before a loop gives up. */
export const PATIENCE_NANOS = 10e9;
/** Polls between two looks at the clock. */
export const POLLS_PER_CLOCK_READ = 4096;

/** What arrived is not what was sent. */
export class PayloadError extends Error {
  override readonly name = 'PayloadError';
}

/** Nothing comes any more where something was awaited. */
export class StreamEnded extends Error {
  override readonly name = 'StreamEnded';
}

/** The slot behind those that messages rotate over: for the word that all of them have come. */
export function closingSlotOf(endpoint: Endpoint): number {
  return endpoint.slotCount - 1;
}
