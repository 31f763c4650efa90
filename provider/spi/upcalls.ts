// What a provider may call back: the upcall table, in the slot order of ws2spi.h and ws2san.h. The
// switch implements it; here is only the contract. A provider names a socket to an upcall by the
// handle that lpWPUCreateSocketHandle gave it, never by its own descriptor.
// Sources: UPC-01 to -08, W2.15, W13.

import type { DWORD_PTR, fd_set, Ref, WSAOVERLAPPED, WSATHREADID } from './winsock2.js';

export type LPWSAUSERAPC = (dwContext: DWORD_PTR) => void;

/**
 * Called over and over by whoever blocks: true to go on waiting, false when the call is
 * cancelled.
 */
export type LPBLOCKINGCALLBACK = (dwContext: DWORD_PTR) => boolean;

/** The 15 upcalls of ws2spi.h. Callable from any thread unless the entry says otherwise. */
export interface WSPUpcallTable {
  /** Destroys an event. false: WSA_INVALID_HANDLE. [W13.5] */
  lpWPUCloseEvent(hEvent: number, lpErrno: Ref<number>): boolean;
  /**
   * Gives a socket handle back: the very last upcall for a socket, after every completion. 0, or
   * SOCKET_ERROR: WSAENOTSOCK. [UPC-06, CLOSE-03]
   */
  lpWPUCloseSocketHandle(s: number, lpErrno: Ref<number>): number;
  /** A manual-reset event, not signalled; WSA_INVALID_EVENT when none is left. [W13.5] */
  lpWPUCreateEvent(lpErrno: Ref<number>): number;
  /**
   * The handle under which the caller above knows the provider's new socket. dwContext comes back
   * from lpWPUQuerySocketHandleContext. INVALID_SOCKET: WSAENOBUFS. [UPC-03, COMP-06, W13.4]
   */
  lpWPUCreateSocketHandle(
    dwCatalogEntryId: number,
    dwContext: DWORD_PTR,
    lpErrno: Ref<number>,
  ): number;
  /** Whether `s` is in the set: non-zero or 0. */
  lpWPUFDIsSet(s: number, fdset: fd_set): number;
  /**
   * The path of an installed provider. 0, or SOCKET_ERROR: WSAEINVAL (unknown), WSAEFAULT (no
   * room).
   */
  lpWPUGetProviderPath(
    lpProviderId: string,
    lpszProviderDllPath: Ref<string>,
    lpProviderDllPathLen: Ref<number>,
    lpErrno: Ref<number>,
  ): number;
  /** Has an installable-file-system handle adopted. INVALID_SOCKET on failure. */
  lpWPUModifyIFSHandle(
    dwCatalogEntryId: number,
    ProposedHandle: number,
    lpErrno: Ref<number>,
  ): number;
  /** Posts a window message; false when the window is unknown. */
  lpWPUPostMessage(hWnd: number, Msg: number, wParam: number, lParam: number): boolean;
  /**
   * The callback that a blocking provider calls while it waits; null: it blocks natively. [W13.6]
   */
  lpWPUQueryBlockingCallback(
    dwCatalogEntryId: number,
    lplpfnCallback: Ref<LPBLOCKINGCALLBACK | null>,
    lpdwContext: Ref<DWORD_PTR>,
    lpErrno: Ref<number>,
  ): number;
  /** The context given at lpWPUCreateSocketHandle. 0, or SOCKET_ERROR: WSAENOTSOCK. [UPC-06] */
  lpWPUQuerySocketHandleContext(s: number, lpContext: Ref<DWORD_PTR>, lpErrno: Ref<number>): number;
  /**
   * Queues a procedure to a thread; it runs in that thread's next alertable wait, never inside this
   * call. 0, or SOCKET_ERROR: WSAEFAULT (thread id invalid). [W13.1, UPC-06]
   */
  lpWPUQueueApc(
    lpThreadId: WSATHREADID,
    lpfnUserApc: LPWSAUSERAPC,
    dwContext: DWORD_PTR,
    lpErrno: Ref<number>,
  ): number;
  /** Makes an event nonsignalled. false: WSA_INVALID_HANDLE. [W13.5] */
  lpWPUResetEvent(hEvent: number, lpErrno: Ref<number>): boolean;
  /** Signals an event. false: WSA_INVALID_HANDLE. [UPC-08, W13.5] */
  lpWPUSetEvent(hEvent: number, lpErrno: Ref<number>): boolean;
  /** The id of the calling thread, until lpWPUCloseThread. 0, or SOCKET_ERROR. [W13.2] */
  lpWPUOpenCurrentThread(lpThreadId: WSATHREADID, lpErrno: Ref<number>): number;
  lpWPUCloseThread(lpThreadId: WSATHREADID, lpErrno: Ref<number>): number;
}

/** The 16 upcalls of ws2san.h: what WSPStartupEx receives, by reference. [UPC-02] */
export interface WSPUpcallTableEx extends WSPUpcallTable {
  /**
   * Completes a pending operation: stores cbTransferred in InternalHigh, then the outcome in
   * Internal, and tells whoever waits. Not to be called when the low bit of hEvent is set. The
   * caller above may close the socket, or start operations, from within. 0, or SOCKET_ERROR:
   * WSAEINVAL when `s` is not from lpWPUCreateSocketHandle. [UPC-05, OVL-05, OVL-06, W13.3]
   */
  lpWPUCompleteOverlappedRequest(
    s: number,
    lpOverlapped: WSAOVERLAPPED,
    dwError: number,
    cbTransferred: number,
    lpErrno: Ref<number>,
  ): number;
}

/** The slots of WSPUPCALLTABLE, in order. */
export const UPCALL_TABLE_SLOTS = [
  'lpWPUCloseEvent',
  'lpWPUCloseSocketHandle',
  'lpWPUCreateEvent',
  'lpWPUCreateSocketHandle',
  'lpWPUFDIsSet',
  'lpWPUGetProviderPath',
  'lpWPUModifyIFSHandle',
  'lpWPUPostMessage',
  'lpWPUQueryBlockingCallback',
  'lpWPUQuerySocketHandleContext',
  'lpWPUQueueApc',
  'lpWPUResetEvent',
  'lpWPUSetEvent',
  'lpWPUOpenCurrentThread',
  'lpWPUCloseThread',
] as const satisfies readonly (keyof WSPUpcallTable)[];

/** The slots of WSPUPCALLTABLEEX, in order. */
export const UPCALL_TABLE_EX_SLOTS = [
  ...UPCALL_TABLE_SLOTS,
  'lpWPUCompleteOverlappedRequest',
] as const satisfies readonly (keyof WSPUpcallTableEx)[];
