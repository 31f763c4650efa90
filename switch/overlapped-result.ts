// What became of an overlapped operation: read from the structure, which both paths complete alike.
// Sources: W9.11, W9.14, GOR-02, W1.4.

import * as wsa from '../provider/spi/error-codes.js';
import { statusOfWsaError, wsaErrorOfStatus } from '../provider/spi/ntstatus.js';
import type { Ref, WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import type { BlockingCalls } from './blocking.js';
import { nudge, wait } from './blocking.js';
import type { SwitchCore } from './core.js';
import type { SwitchSocket } from './socket.js';
import type { SocketTable } from './socket-table.js';

const IN_PROGRESS = WSS_OPERATION_IN_PROGRESS;

// Between two turns of everything that is not the caller's own connection: so much, of which a poll that
// finds its operation ended counts 1 and a poll in vain 4. See docs/decisions/0120-turns-of-a-poller.md.
const PATIENCE_MIN = 128;
const PATIENCE_MAX = 1024;
const POLL_IN_VAIN = 4;

/** WSPGetOverlappedResult of the switch: one for all sockets, so that it stays in the cache. */
export class OverlappedResults {
  private readonly core: SwitchCore;
  private readonly sockets: SocketTable;
  private readonly blocking: BlockingCalls;
  private polls = 0;
  private patience = PATIENCE_MIN;

  constructor(core: SwitchCore) {
    this.core = core;
    this.sockets = core.sockets;
    this.blocking = core.blocking;
  }

  /** The short way: whether the operation has gone well, or does so in this look. False: result() then. */
  poll(s: number, overlapped: WSAOVERLAPPED, fWait: boolean): boolean {
    const socket = this.sockets.find(s);
    if (socket === null || this.blocking.isVersion1) return false;
    if (overlapped.Internal !== IN_PROGRESS) return hasGoneWell(overlapped);
    const { connection } = socket;
    if (connection === null || fWait) return false;
    connection.attend();
    if (!hasGoneWell(overlapped)) return false;
    this.count(1);
    return true;
  }

  result(
    socket: SwitchSocket,
    overlapped: WSAOVERLAPPED | null,
    lpcbTransfer: Ref<number> | null,
    fWait: boolean,
    lpdwFlags: Ref<number> | null,
    lpErrno: Ref<number>,
  ): boolean {
    const { core } = this;
    if (overlapped === null || lpcbTransfer === null || lpdwFlags === null) {
      lpErrno.value = wsa.WSAEFAULT;
      return false;
    }
    if (overlapped.Internal === IN_PROGRESS) {
      if (fWait) {
        // W9.11.2: hEvent is the application's own then, and nothing to wait for.
        if (hasRoutine(socket, overlapped)) {
          lpErrno.value = wsa.WSA_INVALID_PARAMETER;
          return false;
        }
        if (!awaitEnd(core, overlapped, lpErrno)) return false;
      } else {
        this.look(socket, overlapped);
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

  /** A caller that polls comes again at once: its own connection first, all the rest now and then. */
  private look({ connection }: SwitchSocket, overlapped: WSAOVERLAPPED): void {
    if (connection === null) {
      nudge(this.core);
      return;
    }
    connection.attend();
    if (!isPending(overlapped)) {
      this.count(1);
      return;
    }
    connection.attendFurther();
    this.count(POLL_IN_VAIN);
  }

  /** Turns in vain come ever more rarely: whoever polls is not to wait for them. */
  private count(weight: number): void {
    this.polls += weight;
    if (this.polls < this.patience) return;
    this.polls = 0;
    const isInVain = nudge(this.core) === 0;
    this.patience = isInVain ? Math.min(2 * this.patience, PATIENCE_MAX) : PATIENCE_MIN;
  }
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

/** Functions, because what they read changes behind calls. */
function hasGoneWell(overlapped: WSAOVERLAPPED): boolean {
  return overlapped.Internal === 0;
}

function isPending(overlapped: WSAOVERLAPPED): boolean {
  return overlapped.Internal === WSS_OPERATION_IN_PROGRESS;
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
