// DisconnectEx: ends a connection as closesocket does and keeps the socket, which TF_REUSE_SOCKET makes
// as good as new. TF_REUSE_SOCKET on TCP/IP means another descriptor of TCP/IP's below the same handle.
// Sources: XFER-17, SHUT-01, COMP-01; docs/decisions/0030-one-descriptor-for-life.md.

import * as wsa from '../../provider/spi/error-codes.js';
import type { Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { giveDescriptor } from '../accept.js';
import type { Connection } from '../connection.js';
import type { SwitchCore } from '../core.js';
import type { SwitchSocket } from '../socket.js';
import { SocketState } from '../socket.js';
import type { ExtendedContext } from './call.js';
import { ExtendedCall } from './call.js';

export const TF_DISCONNECT = 0x01;
export const TF_REUSE_SOCKET = 0x02;

/** DisconnectEx. Waits when `overlapped` is null. */
export function disconnectEx(
  context: ExtendedContext,
  args: {
    readonly s: number;
    readonly overlapped: WSAOVERLAPPED | null;
    readonly flags: number;
    readonly reserved: number;
  },
  lpErrno: Ref<number>,
): boolean {
  const socket = context.core.sockets.find(args.s);
  const error = refusal(socket, args.flags, args.reserved);
  if (error !== 0 || socket === null) {
    lpErrno.value = error;
    return false;
  }
  const call = new ExtendedCall(context, socket, args.overlapped);
  disconnect(context.core, socket, args.flags === TF_REUSE_SOCKET, (failed) => call.end(failed, 0));
  return call.outcome(null, lpErrno);
}

function refusal(socket: SwitchSocket | null, flags: number, reserved: number): number {
  if (socket === null) return wsa.WSAENOTSOCK;
  if ((flags & ~TF_REUSE_SOCKET) !== 0 || reserved !== 0) return wsa.WSAEINVAL;
  // Others have the connection too: closesocket ends this process's part of it. [W3.7]
  if (socket.share !== null) return wsa.WSAEOPNOTSUPP;
  return socket.state === SocketState.connected ? 0 : wsa.WSAENOTCONN;
}

/**
 * Ends the connection of a connected socket gracefully; `ended` is called once everything sent has
 * arrived, or with the error with which the connection was lost first.
 */
export function disconnect(
  core: SwitchCore,
  socket: SwitchSocket,
  reuse: boolean,
  ended: (error: number) => void,
): void {
  const { connection } = socket;
  if (connection !== null) {
    disconnectSan(core, socket, connection, reuse, ended);
    return;
  }
  const error = reuse ? renewTcp(core, socket) : endTcp(core, socket);
  ended(error);
}

function disconnectSan(
  core: SwitchCore,
  socket: SwitchSocket,
  connection: Connection,
  reuse: boolean,
  ended: (error: number) => void,
): void {
  connection.isOrphan = true;
  connection.watcher = {
    established: () => undefined,
    changed: () => undefined,
    ended: (_connection, error) => {
      // The application may have closed the socket meanwhile, which then looks after TCP/IP's.
      if (socket.connection !== connection) return;
      socket.connection = null;
      if (reuse) renew(socket);
      else retire(socket);
      ended(error);
    },
  };
  connection.closeGracefully();
}

function endTcp(core: SwitchCore, socket: SwitchSocket): number {
  const errno = ws.ref(0);
  if (core.tcp.lpWSPShutdown(socket.descriptor, ws.SD_BOTH, errno) !== 0) return errno.value;
  retire(socket);
  return 0;
}

/** TCP/IP ends the old connection by itself and gives the socket a new descriptor. */
function renewTcp(core: SwitchCore, socket: SwitchSocket): number {
  const { family, type, protocol } = socket;
  const { tcp, tcpInfo } = core;
  const errno = ws.ref(0);
  const flags = ws.WSA_FLAG_OVERLAPPED;
  const s = tcp.lpWSPSocket(family, type, protocol, tcpInfo, 0, flags, errno);
  if (s === ws.INVALID_SOCKET) return errno.value;
  tcp.lpWSPShutdown(socket.descriptor, ws.SD_BOTH, errno);
  giveDescriptor(core, socket, s);
  renew(socket);
  return 0;
}

/** Only closesocket is left. */
function retire(socket: SwitchSocket): void {
  socket.state = SocketState.disconnected;
  socket.connectedAt = -1;
  socket.sendShut = true;
  socket.receiveShut = true;
}

/** As WSASocket made it, with its options and its place in the application. */
function renew(socket: SwitchSocket): void {
  socket.state = SocketState.open;
  socket.isReused = true;
  socket.isBound = false;
  socket.needsContext = false;
  socket.connectedAt = -1;
  socket.localName = null;
  socket.peerName = null;
  socket.pendingError = 0;
  socket.sendShut = false;
  socket.receiveShut = false;
  socket.tcpReady = 0;
  socket.record.lNetworkEvents = 0;
  socket.reportedEvents = 0;
}
