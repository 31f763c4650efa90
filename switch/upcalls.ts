// The upcall table that every provider is started with: handles, events, APCs and completions. An
// upcall never calls back into a provider or the application; it stores, signals and takes note.
// Sources: UPC-01 to UPC-08, W13.

import * as wsa from '../provider/spi/error-codes.js';
import { statusOfWsaError } from '../provider/spi/ntstatus.js';
import type { Ref } from '../provider/spi/winsock2.js';
import { INVALID_SOCKET } from '../provider/spi/winsock2.js';
import type { WSPUpcallTableEx } from '../provider/spi/ws2spi.js';
import { fail } from '../provider/spi/ws2spi.js';
import type { ApcQueue } from './apc-queue.js';
import type { EventTable } from './event-table.js';
import type { HandleTable } from './handle-table.js';

export interface UpcallServices {
  readonly events: EventTable;
  readonly handles: HandleTable;
  readonly apcs: ApcQueue;
  /** The path of an installed provider, or null. */
  providerPath(providerId: string): string | null;
}

/** The 16 upcalls, in the order of the header. [UPC-01] */
export function createUpcallTable(services: UpcallServices): WSPUpcallTableEx {
  const { events, handles, apcs } = services;
  const event = (known: boolean, lpErrno: { value: number }): boolean => {
    if (!known) lpErrno.value = wsa.WSA_INVALID_HANDLE;
    return known;
  };
  return {
    lpWPUCloseEvent: (hEvent, lpErrno) => event(events.close(hEvent), lpErrno),
    lpWPUCloseSocketHandle: (s, lpErrno) => (handles.close(s) ? 0 : fail(lpErrno, wsa.WSAENOTSOCK)),
    lpWPUCreateEvent(lpErrno) {
      const handle = events.create();
      if (handle === 0) lpErrno.value = wsa.WSA_NOT_ENOUGH_MEMORY;
      return handle;
    },
    lpWPUCreateSocketHandle(_dwCatalogEntryId, dwContext, lpErrno) {
      const entry = handles.create(dwContext);
      if (entry !== null) return entry.handle;
      lpErrno.value = wsa.WSAENOBUFS;
      return INVALID_SOCKET;
    },
    lpWPUFDIsSet(s, fdset) {
      const found = fdset.fd_array.indexOf(s);
      return found >= 0 && found < fdset.fd_count ? 1 : 0;
    },
    lpWPUGetProviderPath: (id, path, length, lpErrno) =>
      givePath(services.providerPath(id), path, length, lpErrno),
    // A handle of the operating system is its own socket handle: there is no file system to ask.
    lpWPUModifyIFSHandle: (_dwCatalogEntryId, ProposedHandle) => ProposedHandle,
    lpWPUPostMessage: () => false,
    lpWPUQueryBlockingCallback(_dwCatalogEntryId, lplpfnCallback, lpdwContext) {
      // None: the switch waits by itself and has nobody wait below it. [BLK-01 to BLK-03]
      lplpfnCallback.value = null;
      lpdwContext.value = null;
      return 0;
    },
    lpWPUQuerySocketHandleContext(s, lpContext, lpErrno) {
      const entry = handles.find(s);
      if (entry === null) return fail(lpErrno, wsa.WSAENOTSOCK);
      lpContext.value = entry.context;
      return 0;
    },
    lpWPUQueueApc(lpThreadId, lpfnUserApc, dwContext, lpErrno) {
      if (!apcs.isThread(lpThreadId)) return fail(lpErrno, wsa.WSAEFAULT);
      apcs.queueApc(lpfnUserApc, dwContext);
      return 0;
    },
    lpWPUResetEvent: (hEvent, lpErrno) => event(events.reset(hEvent), lpErrno),
    lpWPUSetEvent: (hEvent, lpErrno) => event(events.set(hEvent), lpErrno),
    lpWPUOpenCurrentThread(lpThreadId) {
      lpThreadId.ThreadHandle = apcs.threadId.ThreadHandle;
      lpThreadId.Reserved = apcs.threadId.Reserved;
      return 0;
    },
    lpWPUCloseThread: (lpThreadId, lpErrno) =>
      apcs.isThread(lpThreadId) ? 0 : fail(lpErrno, wsa.WSAEFAULT),
    lpWPUCompleteOverlappedRequest(s, lpOverlapped, dwError, cbTransferred, lpErrno) {
      const entry = handles.find(s);
      if (entry === null) return fail(lpErrno, wsa.WSAEINVAL);
      lpOverlapped.InternalHigh = cbTransferred;
      // Last, so that whoever polls never sees half a result. [OVL-09, OVL-11]
      lpOverlapped.Internal = dwError === 0 ? 0 : statusOfWsaError(dwError);
      if (entry.sink !== null) entry.sink.operationCompleted(lpOverlapped);
      else if (lpOverlapped.hEvent !== 0) events.set(lpOverlapped.hEvent);
      return 0;
    },
  };
}

function givePath(
  path: string | null,
  lpszProviderDllPath: Ref<string>,
  lpProviderDllPathLen: Ref<number>,
  lpErrno: Ref<number>,
): number {
  if (path === null) return fail(lpErrno, wsa.WSAEINVAL);
  const room = lpProviderDllPathLen.value;
  lpProviderDllPathLen.value = path.length + 1;
  if (room <= path.length) return fail(lpErrno, wsa.WSAEFAULT);
  lpszProviderDllPath.value = path;
  return 0;
}
