// Cancelling operations under way: CancelIo, CancelIoEx, SIO_FLUSH over a SAN, and the end of the
// thread that started them. Each ends with WSA_OPERATION_ABORTED, told as its call asked for; whoever
// carries it decides when its memory is free again. Sources: W9.10.1 to W9.10.5, W5.11, BLK-04.

import { WSA_OPERATION_ABORTED } from '../provider/spi/error-codes.js';
import type { WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import { ref } from '../provider/spi/winsock2.js';
import type { AppRequest } from './app-request.js';
import { requestsOf } from './app-request.js';
import type { SwitchCore } from './core.js';
import type { SwitchSocket } from './socket.js';

/** Starts to cancel what `wanted` says of a socket's operations; how many there were. */
export function cancelRequests(
  core: SwitchCore,
  socket: SwitchSocket,
  wanted: (request: AppRequest) => boolean,
): number {
  const chosen = requestsOf(socket).filter(wanted);
  for (const request of chosen) cancel(core, socket, request);
  return chosen.length;
}

/** CancelIoEx: the operation of `overlapped`, or every one. False: there is none. [W9.10.5] */
export function cancelOverlapped(
  core: SwitchCore,
  socket: SwitchSocket,
  overlapped: WSAOVERLAPPED | null,
): boolean {
  const isMeant = (request: AppRequest): boolean =>
    overlapped === null || request.overlapped === overlapped;
  return cancelRequests(core, socket, isMeant) > 0;
}

/**
 * The thread ends: everything it has started ends with it, and its routines never run. Operations
 * that only a completion port could tell of are spared where the profile says so. [W9.10.2]
 */
export function endThread(core: SwitchCore): void {
  const spares = core.profile.threadExitSparesPortOperations;
  for (const socket of core.sockets.all()) {
    cancelRequests(core, socket, ({ overlapped, routine }) => {
      const isPortOnly = routine === null && socket.port !== null && overlapped?.hEvent === 0;
      return !(spares && isPortOnly);
    });
  }
  core.apcs.end();
}

function cancel(core: SwitchCore, socket: SwitchSocket, request: AppRequest): void {
  if (request.cancellable !== null) {
    request.cancellable.cancel(WSA_OPERATION_ABORTED);
  } else if (socket.tcpPending.includes(request)) {
    // It ends at once, but is fetched with the next turn, like everything that TCP/IP ends.
    core.tcpExtensions.cancel(socket.descriptor, request.inner, null, ref(0));
  } else {
    (socket.connection ?? socket.share?.connection)?.cancel(request);
  }
}
