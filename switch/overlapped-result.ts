// What became of an overlapped operation: read from the structure, which both paths complete alike.
// Sources: W9.11, W9.14, GOR-02, W1.4.

import * as wsa from '../provider/spi/error-codes.js';
import { statusOfWsaError, wsaErrorOfStatus } from '../provider/spi/ntstatus.js';
import type { Ref, WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import { nudge, wait } from './blocking.js';
import type { SwitchCore } from './core.js';
import type { SwitchSocket } from './socket.js';

/** Polls between two turns of everything that is not the caller's own connection. */
const POLLS_PER_NUDGE = 128;
/** The same if none of them finds its operation ended: each counts that much more. */
const POLLS_IN_VAIN_PER_NUDGE = 32;

export function overlappedResult(
  core: SwitchCore,
  socket: SwitchSocket,
  overlapped: WSAOVERLAPPED | null,
  lpcbTransfer: Ref<number> | null,
  fWait: boolean,
  lpdwFlags: Ref<number> | null,
  lpErrno: Ref<number>,
): boolean {
  if (overlapped === null || lpcbTransfer === null || lpdwFlags === null) {
    lpErrno.value = wsa.WSAEFAULT;
    return false;
  }
  if (overlapped.Internal === WSS_OPERATION_IN_PROGRESS) {
    if (fWait) {
      // W9.11.2: hEvent is the application's own then, and nothing to wait for.
      if (hasRoutine(socket, overlapped)) {
        lpErrno.value = wsa.WSA_INVALID_PARAMETER;
        return false;
      }
      if (!awaitEnd(core, overlapped, lpErrno)) return false;
    } else {
      look(core, socket, overlapped);
    }
  }
  if (overlapped.Internal !== 0) {
    // W9.11.3, profile windows: an event that is set already counts as the end.
    if (!isPending(overlapped) || !(fWait && core.profile.signalledEventEndsWait)) {
      return unsuccessful(core, overlapped, lpcbTransfer, lpErrno);
    }
    lpcbTransfer.value = overlapped.InternalHigh;
    lpdwFlags.value = 0;
    return true;
  }
  lpcbTransfer.value = overlapped.InternalHigh;
  lpdwFlags.value = overlapped.Offset;
  return true;
}

function unsuccessful(
  core: SwitchCore,
  overlapped: WSAOVERLAPPED,
  lpcbTransfer: Ref<number>,
  lpErrno: Ref<number>,
): false {
  if (isPending(overlapped)) {
    lpErrno.value = wsa.WSA_IO_INCOMPLETE;
    return false;
  }
  lpErrno.value = outcomeOf(overlapped);
  if (core.profile.failedResultWritesCount) lpcbTransfer.value = overlapped.InternalHigh;
  return false;
}

/** The error of an operation that has ended, exact where the structure says more than its status. */
export function outcomeOf({ Internal, OffsetHigh }: WSAOVERLAPPED): number {
  return statusOfWsaError(OffsetHigh) === Internal ? OffsetHigh : wsaErrorOfStatus(Internal);
}

function hasRoutine(socket: SwitchSocket, overlapped: WSAOVERLAPPED): boolean {
  for (let at = socket.newestRequest; at !== null; at = at.older) {
    if (at.overlapped === overlapped) return at.routine !== null;
  }
  return false;
}

/** A function, because what it reads changes behind calls. */
function isPending(overlapped: WSAOVERLAPPED): boolean {
  return overlapped.Internal === WSS_OPERATION_IN_PROGRESS;
}

/** A caller that polls comes again at once: its own connection first, all the rest now and then. */
function look(core: SwitchCore, socket: SwitchSocket, overlapped: WSAOVERLAPPED): void {
  const { connection } = socket;
  if (connection !== null) connection.attend();
  if (!isPending(overlapped)) {
    socket.polls++;
    if (socket.polls < POLLS_PER_NUDGE) return;
  } else if (connection !== null) {
    connection.attendFurther();
    socket.polls += POLLS_PER_NUDGE / POLLS_IN_VAIN_PER_NUDGE;
    if (socket.polls < POLLS_PER_NUDGE) return;
  }
  socket.polls = 0;
  nudge(core);
}

/** Waits, not alertably, for the end. False: the event to wait for does not exist. [W9.11.2] */
function awaitEnd(core: SwitchCore, overlapped: WSAOVERLAPPED, lpErrno: Ref<number>): boolean {
  const { hEvent } = overlapped;
  if (hEvent !== 0 && !core.events.isEvent(hEvent)) {
    lpErrno.value = wsa.WSA_INVALID_HANDLE;
    return false;
  }
  const eventCounts = core.profile.signalledEventEndsWait && hEvent !== 0;
  const done = (): boolean =>
    overlapped.Internal !== WSS_OPERATION_IN_PROGRESS ||
    (eventCounts && core.events.isSignalled(hEvent));
  wait(core, done, Infinity);
  return true;
}
