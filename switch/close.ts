// The ends of a socket: shutdown in one or both directions, and closesocket, after which a SAN
// connection lives on until what was sent has arrived. Providers only ever see WSPCloseSocket.
// Sources: SHUT-01, SHUT-02, CLOSE-01, MEM-08, W9.10.1, W9.10.4, W12.1 to W12.7.

import * as wsa from '../provider/spi/error-codes.js';
import type { Ref } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import { fail } from '../provider/spi/ws2spi.js';
import { deadlineAfter, nudge, wait } from './blocking.js';
import type { Connection } from './connection.js';
import type { SwitchCore } from './core.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

export function shutdown(
  core: SwitchCore,
  socket: SwitchSocket,
  how: number,
  lpErrno: Ref<number>,
): number {
  if (how !== ws.SD_RECEIVE && how !== ws.SD_SEND && how !== ws.SD_BOTH) {
    return fail(lpErrno, wsa.WSAEINVAL);
  }
  // AcceptEx and ConnectEx: not before SO_UPDATE_ACCEPT_CONTEXT or SO_UPDATE_CONNECT_CONTEXT.
  if (socket.isStream && (socket.state !== SocketState.connected || socket.needsContext)) {
    return fail(lpErrno, wsa.WSAENOTCONN);
  }
  const { connection, share } = socket;
  if (connection === null && share === null) {
    if (core.tcp.lpWSPShutdown(socket.descriptor, how, lpErrno) !== 0) return ws.SOCKET_ERROR;
  }
  if (how !== ws.SD_SEND) socket.receiveShut = true;
  if (how !== ws.SD_RECEIVE) socket.sendShut = true;
  if (connection !== null) shutdownConnection(socket, connection, how);
  else share?.shutdown(how);
  return 0;
}

/** The part of shutdown() that the connection has. */
export function shutdownConnection(
  socket: SwitchSocket,
  connection: Connection,
  how: number,
): void {
  // W9.10.4: a receive that is under way still gets its data.
  if (how !== ws.SD_SEND && socket.receivesPending === 0) {
    connection.session.shutdownReceive(connection.now());
    connection.drain();
  }
  if (how !== ws.SD_RECEIVE) endSending(connection);
}

/** closesocket. 0, or SOCKET_ERROR with the socket still open. */
export function closeSocket(core: SwitchCore, socket: SwitchSocket, lpErrno: Ref<number>): number {
  const { connection } = socket;
  if (socket.share?.close() === true) {
    // Others have it: what is ended is this process's part only. [W3.7]
    for (const call of [...socket.extended]) call.cancel(wsa.WSA_OPERATION_ABORTED);
    socket.selectedMask = 0;
    core.sockets.remove(socket);
    return 0;
  }
  if (connection !== null && !connection.session.isOver && mustWait(socket)) {
    if (!linger(core, socket, connection)) return fail(lpErrno, wsa.WSAEWOULDBLOCK);
  }
  for (const call of [...socket.extended]) call.cancel(wsa.WSA_OPERATION_ABORTED);
  socket.attempt?.abandon();
  socket.listener?.close();
  socket.selectedMask = 0;
  core.sockets.remove(socket);
  if (connection === null || connection.session.isOver) {
    return closeTcp(core, socket, lpErrno);
  }
  endConnection(core, socket, connection);
  return 0;
}

/** Nobody has the socket any more: its connection ends as SO_LINGER says. */
export function endConnection(
  core: SwitchCore,
  socket: SwitchSocket,
  connection: Connection,
): void {
  if (connection.session.isOver) {
    closeTcp(core, socket, ws.ref(0));
    return;
  }
  const hard = socket.lingerOn;
  release(core, socket, connection);
  if (hard) connection.abort(wsa.WSA_OPERATION_ABORTED);
  else connection.closeGracefully();
}

/** The connection outlives its socket; TCP/IP's descriptor goes last. */
function release(core: SwitchCore, socket: SwitchSocket, connection: Connection): void {
  connection.isOrphan = true;
  connection.watcher = {
    established: () => undefined,
    changed: () => undefined,
    ended: () => {
      closeTcp(core, socket, ws.ref(0));
    },
  };
}

/** Closes what TCP/IP has of the socket. */
export function closeTcp(core: SwitchCore, socket: SwitchSocket, lpErrno: Ref<number>): number {
  socket.state = SocketState.closed;
  const result = core.tcp.lpWSPCloseSocket(socket.descriptor, lpErrno);
  // What only held the numbers of further descriptors. [COMP-01]
  for (const handle of socket.moreHandles) core.tcp.lpWSPCloseSocket(handle, ws.ref(0));
  if (socket.handle !== socket.descriptor) core.tcp.lpWSPCloseSocket(socket.handle, ws.ref(0));
  if (socket.tcpEvent !== 0) core.events.close(socket.tcpEvent);
  socket.tcpEvent = 0;
  return result;
}

function endSending(connection: Connection): void {
  connection.watchDeadlines();
  connection.session.shutdownSend(connection.now());
  connection.drain();
}

function mustWait(socket: SwitchSocket): boolean {
  return socket.lingerOn && socket.lingerSeconds > 0;
}

/**
 * SO_LINGER with a time: waits until the peer has all of it, or the time is up. False: the socket is
 * nonblocking and there is still something to send. [W12.5]
 */
function linger(core: SwitchCore, socket: SwitchSocket, connection: Connection): boolean {
  const { session } = connection;
  endSending(connection);
  const done = (): boolean => session.sendFinished || session.isOver;
  if (socket.nonBlocking) {
    if (!done()) nudge(core);
    if (!done()) return false;
  } else {
    wait(core, done, deadlineAfter(core, socket.lingerSeconds * 1000));
  }
  // In time: the rest is the graceful end as ever. Too late: the hard one.
  if (done()) socket.lingerOn = false;
  return true;
}
