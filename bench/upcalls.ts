// The smallest upcall table a SAN provider can run on: handles and manual-reset events, and nothing of
// what a switch does with them. What a SAN provider never calls answers with an error.
// Sources: UPC-01 to UPC-08, W13.

import * as spi from '../provider/spi/index.js';

/** Socket and event handles are multiples of 4, so that an event's low bit is free for the tag. */
const HANDLE_STEP = 4;
const FIRST_HANDLE = 1024;

export class SmallestUpcalls implements spi.WSPUpcallTableEx {
  #nextHandle = FIRST_HANDLE;
  readonly #contexts = new Map<number, spi.DWORD_PTR>();
  readonly #events = new Map<number, boolean>();

  newEvent(): number {
    const handle = this.#handle();
    this.#events.set(handle, false);
    return handle;
  }

  reset(event: number): void {
    this.#events.set(event, false);
  }

  isSet(event: number): boolean {
    return this.#events.get(event) ?? false;
  }

  /** Socket handles that the provider has not given back. */
  get openHandles(): number {
    return this.#contexts.size;
  }

  readonly lpWPUCreateSocketHandle = (_catalogEntryId: number, context: spi.DWORD_PTR): number => {
    const handle = this.#handle();
    this.#contexts.set(handle, context);
    return handle;
  };

  readonly lpWPUCloseSocketHandle = (s: number, lpErrno: spi.Ref<number>): number =>
    this.#contexts.delete(s) ? 0 : spi.fail(lpErrno, spi.WSAENOTSOCK);

  readonly lpWPUQuerySocketHandleContext = (
    s: number,
    lpContext: spi.Ref<spi.DWORD_PTR>,
    lpErrno: spi.Ref<number>,
  ): number => {
    if (!this.#contexts.has(s)) return spi.fail(lpErrno, spi.WSAENOTSOCK);
    lpContext.value = this.#contexts.get(s);
    return 0;
  };

  readonly lpWPUCreateEvent = (): number => this.newEvent();

  readonly lpWPUCloseEvent = (event: number, lpErrno: spi.Ref<number>): boolean =>
    this.#events.delete(event) || refuse(lpErrno, spi.WSA_INVALID_HANDLE);

  readonly lpWPUSetEvent = (event: number, lpErrno: spi.Ref<number>): boolean =>
    this.#change(event, true, lpErrno);

  readonly lpWPUResetEvent = (event: number, lpErrno: spi.Ref<number>): boolean =>
    this.#change(event, false, lpErrno);

  readonly lpWPUCompleteOverlappedRequest = (
    _s: number,
    lpOverlapped: spi.WSAOVERLAPPED,
    _dwError: number,
    cbTransferred: number,
    lpErrno: spi.Ref<number>,
  ): number => {
    lpOverlapped.InternalHigh = cbTransferred;
    lpOverlapped.Internal = 0;
    return this.lpWPUSetEvent(lpOverlapped.hEvent, lpErrno) ? 0 : spi.SOCKET_ERROR;
  };

  // A SAN provider has no use for the rest.
  readonly lpWPUFDIsSet = (): number => 0;
  readonly lpWPUGetProviderPath = (
    _id: string,
    _path: spi.Ref<string>,
    _length: spi.Ref<number>,
    lpErrno: spi.Ref<number>,
  ): number => spi.fail(lpErrno, spi.WSAEINVAL);
  readonly lpWPUModifyIFSHandle = (_id: number, proposed: number): number => proposed;
  readonly lpWPUPostMessage = (): boolean => false;
  readonly lpWPUQueryBlockingCallback = (
    _id: number,
    lplpfnCallback: spi.Ref<spi.LPBLOCKINGCALLBACK | null>,
  ): number => {
    lplpfnCallback.value = null;
    return 0;
  };
  readonly lpWPUQueueApc = (
    _thread: spi.WSATHREADID,
    _routine: spi.LPWSAUSERAPC,
    _context: spi.DWORD_PTR,
    lpErrno: spi.Ref<number>,
  ): number => spi.fail(lpErrno, spi.WSAEFAULT);
  readonly lpWPUOpenCurrentThread = (_thread: spi.WSATHREADID): number => 0;
  readonly lpWPUCloseThread = (_thread: spi.WSATHREADID): number => 0;

  #handle(): number {
    const handle = this.#nextHandle;
    this.#nextHandle += HANDLE_STEP;
    return handle;
  }

  #change(event: number, isSet: boolean, lpErrno: spi.Ref<number>): boolean {
    if (!this.#events.has(event)) return refuse(lpErrno, spi.WSA_INVALID_HANDLE);
    this.#events.set(event, isSet);
    return true;
  }
}

function refuse(lpErrno: spi.Ref<number>, code: number): false {
  lpErrno.value = code;
  return false;
}
