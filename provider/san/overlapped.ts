// WSPGetOverlappedResult: how the switch learns outcomes, mostly by polling, so that it also drives the
// NIC. The outcome is in the WSAOVERLAPPED; nothing is looked up.
// Sources: GOR-01 to GOR-05, OVL-04, OVL-10, OVL-11.

import * as wsa from '../spi/error-codes.js';
import type { Ref, WSAOVERLAPPED } from '../spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../spi/ws2spi.js';
import { drive, driveOne } from './progress.js';
import type { SanState } from './state.js';
import { waitUntil } from './waiting.js';

/** Polls in vain between two turns of everything that is not the caller's own connection. */
const POLLS_PER_DRIVE = 8;

/** True with the bytes and flags, or false with the error. */
export function wspGetOverlappedResult(
  state: SanState,
  s: number,
  lpOverlapped: WSAOVERLAPPED | null,
  lpcbTransfer: Ref<number> | null,
  fWait: boolean,
  lpdwFlags: Ref<number> | null,
  lpErrno: Ref<number>,
): boolean {
  const socket = state.sockets.find(s);
  if (socket === null) return failed(lpErrno, wsa.WSAENOTSOCK);
  if (lpOverlapped === null) return failed(lpErrno, wsa.WSAEINVAL);
  if (lpOverlapped.Internal === WSS_OPERATION_IN_PROGRESS) {
    driveOne(state, socket);
    // A caller that polls comes again at once: everything else has its turn every few times.
    if (isPending(lpOverlapped) && ++state.polls % POLLS_PER_DRIVE === 0) drive(state);
    if (isPending(lpOverlapped)) {
      if (!fWait) return failed(lpErrno, wsa.WSA_IO_INCOMPLETE);
      if (!state.profile.overlappedResultWaits) return failed(lpErrno, wsa.WSAENETDOWN);
      if (!waitUntil(state, () => !isPending(lpOverlapped), Infinity))
        return failed(lpErrno, wsa.WSA_IO_INCOMPLETE);
    }
  }
  if (lpOverlapped.OffsetHigh !== 0) return failed(lpErrno, lpOverlapped.OffsetHigh);
  if (lpcbTransfer !== null) lpcbTransfer.value = lpOverlapped.InternalHigh;
  if (lpdwFlags !== null) lpdwFlags.value = lpOverlapped.Offset;
  return true;
}

/** A function, because what it reads changes behind calls. */
function isPending(overlapped: WSAOVERLAPPED): boolean {
  return overlapped.Internal === WSS_OPERATION_IN_PROGRESS;
}

function failed(lpErrno: Ref<number>, error: number): false {
  lpErrno.value = error;
  return false;
}
