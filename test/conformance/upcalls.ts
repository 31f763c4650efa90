// The kit in the place of the switch, as a provider sees it: handles, events, completions. Whatever a
// provider may never do with them is noted as a problem, in every case and whatever the case is about.
// Sources: UPC-03 to UPC-08, CLOSE-03, OVL-05, OVL-06, W13.3, W13.4.

import * as spi from '../../provider/spi/index.js';

/** A completion that the provider reported. */
export interface CompletionUpcall {
  readonly handle: number;
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly error: number;
  readonly bytes: number;
  /** Internal when the upcall came in: the upcall is who takes it out of progress. [OVL-09] */
  readonly internalBefore: number;
}

/** One upcall in order, for cases about order. */
export interface UpcallRecord {
  readonly name: 'create' | 'close' | 'complete' | 'set' | 'reset';
  /** Socket handle, or event. */
  readonly handle: number;
}

/** Handles look like nothing a provider would choose: a mix-up is noticed. [COMP-07] */
const FIRST_HANDLE = 0x7e0004;
const FIRST_EVENT = 0x500;

export class UpcallSink {
  readonly records: UpcallRecord[] = [];
  readonly completions: CompletionUpcall[] = [];
  /** Given out and not given back. */
  readonly openHandles = new Set<number>();
  readonly contexts = new Map<number, unknown>();
  /** What a provider may never do, one sentence with its clause each. */
  readonly problems: string[] = [];
  readonly table: spi.WSPUpcallTableEx;
  /** Runs inside every completion upcall, where a switch may do anything. [UPC-05] */
  onComplete: (completion: CompletionUpcall) => void = () => undefined;
  /** The next lpWPUCreateSocketHandle fails with WSAENOBUFS. [UPC-03] */
  refusesHandles = false;
  readonly #signalled = new Set<number>();
  readonly #events = new Set<number>();
  readonly #closed = new Set<number>();
  #nextHandle = FIRST_HANDLE;
  #nextEvent = FIRST_EVENT;

  constructor() {
    const unused = spi.UPCALL_TABLE_EX_SLOTS.map((slot) => [
      slot,
      () => this.#misused(`${slot.slice(2)} is not for a SAN provider under a switch`),
    ]);
    this.table = {
      ...(Object.fromEntries(unused) as unknown as spi.WSPUpcallTableEx),
      lpWPUCreateSocketHandle: (_entry, context, lpErrno) => this.#create(context, lpErrno),
      lpWPUCloseSocketHandle: (s, lpErrno) => this.#close(s, lpErrno),
      lpWPUQuerySocketHandleContext: (s, lpContext, lpErrno) => {
        if (!this.openHandles.has(s)) return spi.fail(lpErrno, spi.WSAENOTSOCK);
        lpContext.value = this.contexts.get(s);
        return 0;
      },
      lpWPUCompleteOverlappedRequest: (s, overlapped, error, bytes, lpErrno) =>
        this.#complete({ handle: s, overlapped, error, bytes }, lpErrno),
      lpWPUCreateEvent: () => this.createEvent(),
      lpWPUCloseEvent: (hEvent, lpErrno) => this.#withEvent('close', hEvent, lpErrno),
      lpWPUSetEvent: (hEvent, lpErrno) => this.#withEvent('set', hEvent, lpErrno),
      lpWPUResetEvent: (hEvent, lpErrno) => this.#withEvent('reset', hEvent, lpErrno),
    };
  }

  /** A manual-reset event, not signalled. */
  createEvent(): number {
    this.#nextEvent += 4;
    this.#events.add(this.#nextEvent);
    return this.#nextEvent;
  }

  isSignalled(hEvent: number): boolean {
    return this.#signalled.has(hEvent);
  }

  resetEvent(hEvent: number): void {
    this.#signalled.delete(hEvent);
  }

  /** The completions that were reported of one operation. */
  completionsOf(overlapped: spi.WSAOVERLAPPED): CompletionUpcall[] {
    return this.completions.filter((one) => one.overlapped === overlapped);
  }

  #misused(sentence: string): number {
    this.problems.push(sentence);
    return spi.SOCKET_ERROR;
  }

  #create(context: unknown, lpErrno: spi.Ref<number>): number {
    if (this.refusesHandles) {
      lpErrno.value = spi.WSAENOBUFS;
      return spi.INVALID_SOCKET;
    }
    this.#nextHandle += 4;
    const handle = this.#nextHandle;
    this.openHandles.add(handle);
    this.contexts.set(handle, context);
    this.records.push({ name: 'create', handle });
    return handle;
  }

  #close(handle: number, lpErrno: spi.Ref<number>): number {
    this.records.push({ name: 'close', handle });
    if (this.openHandles.delete(handle)) {
      this.#closed.add(handle);
      return 0;
    }
    this.#misused(`WPUCloseSocketHandle(${this.#nameOf(handle)}) [UPC-04 CLOSE-03]`);
    return spi.fail(lpErrno, spi.WSAENOTSOCK);
  }

  #complete(call: Omit<CompletionUpcall, 'internalBefore'>, lpErrno: spi.Ref<number>): number {
    const { handle, overlapped, error, bytes } = call;
    this.records.push({ name: 'complete', handle });
    if (!this.openHandles.has(handle)) {
      const how = this.#closed.has(handle) ? 'CLOSE-03' : 'UPC-04 UPC-05';
      this.#misused(`WPUCompleteOverlappedRequest(${this.#nameOf(handle)}) [${how}]`);
      return spi.fail(lpErrno, spi.WSAEINVAL);
    }
    if ((overlapped.hEvent & 1) !== 0) {
      this.#misused('WPUCompleteOverlappedRequest although hEvent has its low bit set [OVL-05]');
    }
    if (this.completionsOf(overlapped).length > 0) {
      this.#misused('WPUCompleteOverlappedRequest twice for one operation [OVL-13 OVL-16]');
    }
    const completion = { ...call, internalBefore: overlapped.Internal };
    this.completions.push(completion);
    overlapped.InternalHigh = bytes;
    overlapped.Internal = spi.statusOfWsaError(error);
    this.onComplete(completion);
    return 0;
  }

  #withEvent(name: 'set' | 'reset' | 'close', hEvent: number, lpErrno: spi.Ref<number>): boolean {
    if (!this.#events.has(hEvent)) {
      this.#misused(`an event upcall names ${hEvent}, which is no event [W13.5]`);
      lpErrno.value = spi.WSA_INVALID_HANDLE;
      return false;
    }
    if (name !== 'close') this.records.push({ name, handle: hEvent });
    if (name === 'set') this.#signalled.add(hEvent);
    else this.#signalled.delete(hEvent);
    return true;
  }

  #nameOf(handle: number): string {
    if (this.#closed.has(handle)) return 'a handle that was given back';
    return this.openHandles.has(handle) ? 'a handle' : `${handle}, which is no handle of ours`;
  }
}
