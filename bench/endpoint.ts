// What the measuring loops need of a connection, whatever it is made of: slots of memory for sending
// and receiving, operations started on a slot, and their outcomes. Every slot has one operation at a
// time; nothing here or in an implementation allocates once the connection stands.

/** Buffers of each direction that transfers rotate over. */
export const SLOT_COUNT = 16;

export interface Endpoint {
  readonly slotBytes: number;
  /** The sending slots as words, slot after slot: the counter of slot n is word n * slotBytes / 4. */
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  /** Posts a receive of up to `bytes`. */
  postReceive(slot: number, bytes: number): void;
  /** Waits for the receive of a slot; the bytes that arrived, 0 at the end. Throws WsaError, DeadlineError. */
  awaitReceive(slot: number): number;
  startSend(slot: number, bytes: number): void;
  /** Waits until the send of a slot is done. Throws WsaError, DeadlineError. */
  awaitSend(slot: number): void;
  close(): Promise<void>;
}

/** How a loop waits: spinning on the outcome, or asleep between looks where threads share cores. */
export type WaitMode = 'spin' | 'sleep';

/** How long any single operation may take before a loop gives up. */
export const PATIENCE_NANOS = 10e9;
/** Polls between two looks at the clock. */
export const POLLS_PER_CLOCK_READ = 4096;

/** What arrived is not what was sent. */
export class PayloadError extends Error {
  override readonly name = 'PayloadError';
}
