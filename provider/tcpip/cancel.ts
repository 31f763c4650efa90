// Cancelling: what CancelIo, CancelIoEx and the end of a thread come down to, as one extension function.
// It must not know who waits for an operation. Sources: W5.11, W9.10.2, W9.10.5;
// provider/spi/base-extensions.ts.

import type { LPFN_WSPCANCELIO } from '../spi/base-extensions.js';
import { ERROR_NOT_FOUND, WSA_OPERATION_ABORTED } from '../spi/errors.js';
import { fail } from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { updateInterest } from './interest.js';
import { complete } from './operation.js';
import type { Indication, Operation } from './operation.js';
import type { Context, KernelSocket } from './record.js';

/** Whether an operation is to be ended. Blocking calls and data that was taken over have no indication. */
type Chosen = (indication: Indication) => boolean;

export function createCancel(context: Context): LPFN_WSPCANCELIO {
  return (s, lpOverlapped, lpThreadId, lpErrno) => {
    const isThreadEnd = s === ws.INVALID_SOCKET && lpThreadId !== null;
    const isSparing = isThreadEnd && context.profile.threadExitSparesPortOperations;
    const handle = lpThreadId?.ThreadHandle ?? null;
    const isChosen: Chosen = (indication) =>
      (lpOverlapped === null || indication.overlapped === lpOverlapped) &&
      (handle === null || indication.thread?.ThreadHandle === handle) &&
      !(isSparing && isForPortAlone(indication));
    if (s === ws.INVALID_SOCKET) {
      const counts = context.table.all().map((socket) => cancelOn(context, socket, isChosen));
      return counts.some((count) => count > 0) ? 0 : fail(lpErrno, ERROR_NOT_FOUND);
    }
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    return cancelOn(context, socket, isChosen) > 0 ? 0 : fail(lpErrno, ERROR_NOT_FOUND);
  };
}

/** Neither a routine nor an event: only a completion port can be waiting. [W9.10.2 TRAP] */
function isForPortAlone({ routine, overlapped }: Indication): boolean {
  return routine === null && (overlapped?.hEvent ?? 0) === 0;
}

/** All are taken out before the first is told: whoever is told may start or close anything. */
function cancelOn(context: Context, socket: KernelSocket, isChosen: Chosen): number {
  const queues = [socket.sends, socket.receives, socket.urgentReceives, socket.controls];
  const ended = queues.flatMap((queue) => takeChosen(queue, isChosen));
  if (ended.length === 0) return 0;
  updateInterest(context, socket);
  for (const operation of ended) complete(context.upcalls, operation, WSA_OPERATION_ABORTED);
  return ended.length;
}

function takeChosen(queue: Operation[], isChosen: Chosen): Operation[] {
  const isEnded = ({ indication }: Operation): boolean =>
    indication !== null && isChosen(indication);
  const ended = queue.filter(isEnded);
  const kept = queue.filter((operation) => !isEnded(operation));
  queue.splice(0, queue.length, ...kept);
  return ended;
}
