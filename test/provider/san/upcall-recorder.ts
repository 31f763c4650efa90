// Plays the switch below the line for tests of a SAN provider: records every upcall, keeps events,
// finishes operations. Needs no test runner, so that a child process may use it.

import { assert } from '../../../runtime/assert.js';
import * as spi from '../../../provider/spi/index.js';

/** One upcall: its name and what matters of its arguments. */
export type Upcall =
  | { readonly name: 'create'; readonly handle: number; readonly context: unknown }
  | { readonly name: 'close'; readonly handle: number }
  | {
      readonly name: 'complete';
      readonly handle: number;
      readonly overlapped: spi.WSAOVERLAPPED;
      readonly error: number;
      readonly bytes: number;
    }
  | { readonly name: 'set' | 'reset'; readonly hEvent: number };

const FIRST_HANDLE = 0x2000;

export class UpcallRecorder {
  readonly calls: Upcall[] = [];
  readonly signalled = new Set<number>();
  readonly table: spi.WSPUpcallTableEx;
  /** Runs inside every completion upcall. */
  onComplete: (call: Extract<Upcall, { name: 'complete' }>) => void = () => undefined;
  handlesLeft = 1000;
  /** Given out and not yet given back. */
  readonly openHandles = new Set<number>();
  /** Event handles that do not exist. */
  readonly badEvents = new Set<number>();
  #nextHandle = FIRST_HANDLE;

  constructor() {
    const unused = (): never => {
      throw new Error('a SAN provider has no use for this upcall');
    };
    const slots = spi.UPCALL_TABLE_EX_SLOTS.map((slot) => [slot, unused]);
    this.table = {
      ...(Object.fromEntries(slots) as unknown as spi.WSPUpcallTableEx),
      lpWPUCreateSocketHandle: (_catalogEntry, context, lpErrno) => {
        if (this.handlesLeft === 0) {
          lpErrno.value = spi.WSAENOBUFS;
          return spi.INVALID_SOCKET;
        }
        this.handlesLeft--;
        const handle = this.#nextHandle;
        this.#nextHandle += 4;
        this.openHandles.add(handle);
        this.calls.push({ name: 'create', handle, context });
        return handle;
      },
      lpWPUCloseSocketHandle: (handle) => {
        this.calls.push({ name: 'close', handle });
        assert(this.openHandles.delete(handle), 'a handle is given back once');
        return 0;
      },
      lpWPUCompleteOverlappedRequest: (handle, overlapped, error, bytes) => {
        const call = { name: 'complete', handle, overlapped, error, bytes } as const;
        this.calls.push(call);
        overlapped.InternalHigh = bytes;
        overlapped.Internal = spi.statusOfWsaError(error);
        this.onComplete(call);
        return 0;
      },
      lpWPUSetEvent: (hEvent) => this.#event('set', hEvent),
      lpWPUResetEvent: (hEvent) => this.#event('reset', hEvent),
    };
  }

  completions(): Extract<Upcall, { name: 'complete' }>[] {
    return this.calls.filter((call) => call.name === 'complete');
  }

  names(): string[] {
    return this.calls.map((call) => call.name);
  }

  #event(name: 'set' | 'reset', hEvent: number): boolean {
    if (this.badEvents.has(hEvent)) return false;
    this.calls.push({ name, hEvent });
    if (name === 'set') this.signalled.add(hEvent);
    else this.signalled.delete(hEvent);
    return true;
  }
}
