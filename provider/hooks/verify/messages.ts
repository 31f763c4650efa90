// What was sent in one direction of a connection, to hold what arrives against it: lengths and checksums
// in order. Long messages are sampled, so that watching costs little; the positions depend on the length
// alone, so both ends sample alike, however the buffers are cut. Sources: WSPSEND-04, OVL-14, ARCH-02.

import type { WSABUF } from '../../spi/winsock2.js';

export interface Message {
  readonly length: number;
  readonly checksum: number;
}

/** Bytes looked at in a message that is sampled. */
const SAMPLES = 128;

/** FNV-1a over the first `total` bytes of the list: all of them, or evenly spread ones. */
export function checksumOf(
  buffers: readonly WSABUF[],
  count: number,
  total: number,
  isFull: boolean,
): number {
  const step = isFull || total <= 2 * SAMPLES ? 1 : Math.floor(total / SAMPLES);
  let checksum = 0x811c9dc5;
  let begin = 0;
  let position = 0;
  for (let index = 0; index < count && begin < total; index++) {
    const entry = buffers[index];
    const bytes = entry?.buf;
    if (entry === undefined || bytes === null || bytes === undefined) continue;
    const end = Math.min(begin + entry.len, total);
    for (; position < end; position += step) {
      checksum = Math.imul(checksum ^ (bytes[position - begin] ?? 0), 0x01000193);
    }
    begin = end;
  }
  return checksum >>> 0;
}

/** One direction: messages that were sent and have not been seen to arrive. */
export class MessageOrder {
  readonly #messages = new Map<number, Message>();
  sent = 0;

  push(length: number, checksum: number): void {
    this.#messages.set(this.sent++, { length, checksum });
  }

  /** The latest was not sent after all. */
  takeBack(): void {
    this.#messages.delete(--this.sent);
  }

  /** The message that belongs to the receive with this place in the order; taken off. */
  take(place: number): Message | null {
    const message = this.#messages.get(place);
    this.#messages.delete(place);
    return message ?? null;
  }

  /** Whether some other message than the one at `place` looks like this. */
  holds(length: number, checksum: number): boolean {
    for (const one of this.#messages.values()) {
      if (one.length === length && one.checksum === checksum) return true;
    }
    return false;
  }
}
