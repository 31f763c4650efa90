// The last events of one provider, for the report of a violation: call, socket, outcome. Cheap to note,
// made into text only when somebody asks. It must not keep anything of the caller's alive.

import { errorName } from '../../spi/errors.js';

interface Entry {
  call: string;
  socket: number;
  error: number;
}

const LENGTH = 32;

export class Journal {
  readonly #ring: Entry[] = Array.from({ length: LENGTH }, () => ({
    call: '',
    socket: 0,
    error: 0,
  }));
  #next = 0;

  /** `call` names a function; `error` is 0 for success. */
  note(call: string, socket: number, error: number): void {
    const entry = this.#ring[this.#next++ % LENGTH];
    if (entry === undefined) return;
    entry.call = call;
    entry.socket = socket;
    entry.error = error;
  }

  /** Oldest first. */
  lines(): string[] {
    const first = Math.max(0, this.#next - LENGTH);
    return Array.from({ length: this.#next - first }, (_, index) => {
      const entry = this.#ring[(first + index) % LENGTH];
      return entry === undefined ? '' : textOf(entry);
    });
  }
}

function textOf({ call, socket, error }: Entry): string {
  return `${call}(0x${socket.toString(16)}) -> ${error === 0 ? 'ok' : errorName(error)}`;
}
