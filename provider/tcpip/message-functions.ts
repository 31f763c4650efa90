// The provider's halves of WSASendMsg and WSARecvMsg, fetched by GUID: the argument rules of WSAMSG.
// It must not know how messages move. Sources: W6, W8.3; provider/spi/base-extensions.ts.

import type { LPFN_WSPRECVMSG, LPFN_WSPSENDMSG } from '../spi/base-extensions.js';
import * as wsa from '../spi/errors.js';
import { fail } from '../spi/ws2spi.js';
import * as ws from '../spi/winsock2.js';
import { isOverlappedMode, modeOf } from './call.js';
import { envelopeOf, nameRoomError, readyToSend } from './datagram.js';
import { PLAIN } from './operation.js';
import type { Context } from './record.js';
import { sendMode, startReceive, startSend } from './transfer.js';

const SEND_FLAGS = ws.MSG_DONTROUTE | ws.MSG_PARTIAL | ws.MSG_OOB;

/** Pointers that say they lead somewhere and do not. [W6.3] */
function pointerError({ name, namelen, Control }: ws.WSAMSG): number {
  if (name === null && namelen !== 0) return wsa.WSAEFAULT;
  return isBufferMissing(Control) ? wsa.WSAEFAULT : 0;
}

function isBufferMissing({ buf, len }: ws.WSABUF): boolean {
  return len > (buf?.length ?? 0);
}

/** The order of the checks is Windows' where it can be seen. [W6.4] */
export function createSendMsg(context: Context): LPFN_WSPSENDMSG {
  const portUnreachableHere = context.profile.portUnreachableReportedBy === 'send';
  return (s, lpMsg, flags, lpCount, overlapped, routine, thread, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (lpMsg === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (socket.message === null) return fail(lpErrno, wsa.WSAEINVAL);
    const { name, namelen, lpBuffers: buffers, dwBufferCount: count, Control } = lpMsg;
    const mode = sendMode(context, socket, overlapped, routine, thread);
    const destination = name === null ? null : { name, length: namelen };
    const error =
      ((flags & ~SEND_FLAGS) === 0 ? 0 : wsa.WSAEOPNOTSUPP) ||
      pointerError(lpMsg) ||
      readyToSend(context, socket, flags, destination, wsa.WSAENOTCONN) ||
      (lpCount === null && !isOverlappedMode(mode) ? wsa.WSAEFAULT : 0);
    if (error !== 0) return fail(lpErrno, error);
    const plain = envelopeOf(context, socket, name, Control);
    if (typeof plain === 'number') return fail(lpErrno, plain);
    const envelope = portUnreachableHere ? { ...plain, asksNetwork: true } : plain;
    const transfer = { socket, buffers, count, flags, envelope, mode, lpCount, lpErrno };
    return startSend(context, transfer);
  };
}

export function createRecvMsg(context: Context): LPFN_WSPRECVMSG {
  return (s, lpMsg, lpCount, overlapped, routine, thread, lpErrno) => {
    const socket = context.table.find(s, lpErrno);
    if (socket === null) return ws.SOCKET_ERROR;
    if (lpMsg === null) return fail(lpErrno, wsa.WSAEFAULT);
    if (socket.message === null) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    const { name, namelen, lpBuffers: buffers, dwBufferCount: count, dwFlags: flags } = lpMsg;
    const mode = modeOf(context, socket, overlapped, routine, thread, false);
    const error =
      ((flags & ~ws.MSG_PEEK) === 0 ? 0 : wsa.WSAEOPNOTSUPP) ||
      pointerError(lpMsg) ||
      nameRoomError(socket, name, namelen);
    const envelope = { ...PLAIN, message: lpMsg };
    const transfer = { socket, buffers, count, flags, envelope, mode, lpCount, lpErrno };
    // Windows pends whenever there is a routine. [W8.3.4]
    const isAlwaysPending = mode.indication !== null && mode.indication.routine !== null;
    return startReceive(context, transfer, error, isAlwaysPending);
  };
}
