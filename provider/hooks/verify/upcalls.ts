// The upcalls, watched: which handle they name, and whether they may come now.
// Sources: UPC-03 to UPC-05, COMP-07, CLOSE-02 to CLOSE-04, OVL-05, OVL-06.

import { INVALID_SOCKET } from '../../spi/winsock2.js';
import type { WSPUpcallTableEx } from '../../spi/ws2spi.js';
import { end } from './ending.js';
import { Operation } from './operation.js';
import type { HostShadow, SocketShadow } from './world.js';

/** Nested completion upcalls; a switch that posts from within them gets a few deep. */
const DEPTH_MAX = 200;

/** The table that the provider gets. */
export function watchedUpcalls(host: HostShadow, outer: WSPUpcallTableEx): WSPUpcallTableEx {
  return {
    ...outer,
    lpWPUCreateSocketHandle: (entry, context, errno) => {
      const handle = outer.lpWPUCreateSocketHandle(entry, context, errno);
      host.journal.note('WPUCreateSocketHandle', handle, 0);
      if (handle === INVALID_SOCKET) return handle;
      host.newHandles?.push(handle);
      host.byHandle.set(handle, null);
      host.givenBack.delete(handle);
      return handle;
    },
    lpWPUCloseSocketHandle: (handle, errno) => {
      host.journal.note('WPUCloseSocketHandle', handle, 0);
      const socket = socketOf(host, handle, 'WPUCloseSocketHandle');
      host.byHandle.delete(handle);
      host.givenBack.add(handle);
      if (socket !== null) checkLast(host, socket);
      return outer.lpWPUCloseSocketHandle(handle, errno);
    },
    lpWPUQuerySocketHandleContext: (handle, context, errno) => {
      socketOf(host, handle, 'WPUQuerySocketHandleContext');
      return outer.lpWPUQuerySocketHandleContext(handle, context, errno);
    },
    lpWPUCompleteOverlappedRequest: (handle, overlapped, error, bytes, errno) => {
      host.journal.note('WPUCompleteOverlappedRequest', handle, error);
      const socket = socketOf(host, handle, 'WPUCompleteOverlappedRequest');
      const real = overlapped instanceof Operation ? overlapped.real : overlapped;
      if (overlapped instanceof Operation) told(host, overlapped, error, bytes);
      else host.stop('COMPLETED_UNKNOWN', `The handle is ${handle}.`);
      if (++host.upcallDepth > DEPTH_MAX) host.stop('RECURSION', `${DEPTH_MAX} deep.`);
      if (socket !== null) socket.upcallDepth++;
      try {
        return outer.lpWPUCompleteOverlappedRequest(handle, real, error, bytes, errno);
      } finally {
        host.upcallDepth--;
        if (socket !== null) socket.upcallDepth--;
      }
    },
  };
}

function told(host: HostShadow, operation: Operation, error: number, bytes: number): void {
  if (operation.isSuppressed) host.stop('NOTIFIED_SUPPRESSED', `It is a ${operation.kind}.`);
  if (operation.state === 'failed') {
    host.stop('COMPLETED_FAILED_CALL', `It is a ${operation.kind}.`);
  } else if (operation.state === 'done') {
    const isImmediate = operation.endedBy === 'call';
    const code = isImmediate ? 'NOTIFIED_IMMEDIATE' : 'COMPLETED_TWICE';
    host.stop(code, `It is a ${operation.kind}.`);
  } else {
    end(host, operation, { error, bytes, by: 'upcall' });
  }
}

/** The socket that an upcall names by the switch's handle, and nothing else. */
function socketOf(host: HostShadow, handle: number, upcall: string): SocketShadow | null {
  const socket = host.byHandle.get(handle);
  if (socket !== undefined) return socket;
  if (host.givenBack.has(handle)) host.stop('UPCALL_AFTER_LAST', `It is ${upcall}.`);
  else if (host.sockets.has(handle) || host.closed.has(handle)) {
    host.stop('DESCRIPTOR_IN_UPCALL', `It is ${upcall}.`);
  } else host.stop('UNKNOWN_HANDLE_IN_UPCALL', `${upcall} names ${handle}.`);
  return null;
}

/** Everything that must be over when a handle is given back. [CLOSE-03, CLOSE-04] */
function checkLast(host: HostShadow, socket: SocketShadow): void {
  const { pending, isClosed, upcallDepth } = socket;
  if (!isClosed) host.stop('GAVE_UP_OPEN_SOCKET', `The descriptor is ${socket.descriptor}.`);
  if (pending.size > 0) host.stop('NEVER_COMPLETED', `${pending.size} are pending.`);
  if (upcallDepth > 0) host.stop('CLOSED_INSIDE_UPCALL', `${upcallDepth} have not returned.`);
  host.world.exposures.releaseAll(socket, ++host.world.time);
}
