// WSADuplicateSocket of a connection that a SAN provider carries, for another process, and WSASocket
// there. Nothing moves: the new descriptor is a noncontrolling one. [DUP-04] The record left for the
// other process says where control is asked for. Sources: W3.7, DUP-02, DUP-04, DUP-06, DUP-07.

import * as wsa from '../../provider/spi/error-codes.js';
import type { Ref, WSAPROTOCOL_INFO } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { fail } from '../../provider/spi/ws2spi.js';
import type { SwitchCore } from '../core.js';
import type { SocketKind } from '../socket-arguments.js';
import { SocketState, SwitchSocket } from '../socket.js';
import { applyOptions, optionsOf } from './options.js';
import { Share } from './share.js';
import { decodeRecord, type DuplicateRecord, encodeRecord } from './state.js';

/**
 * Fills `info` in for one WSASocket of the process `processId`. WSAEOPNOTSUPP where this host, the
 * provider or the peer cannot; WSAENOBUFS without room; the error of a connection that has ended.
 */
export function offerShared(
  core: SwitchCore,
  socket: SwitchSocket,
  processId: number,
  info: WSAPROTOCOL_INFO,
  lpErrno: Ref<number>,
): number {
  const services = core.environment.sharing;
  const { connection, localName, peerName } = socket;
  if (services === undefined || localName === null || peerName === null) {
    return fail(lpErrno, wsa.WSAEOPNOTSUPP);
  }
  const end = connection === null ? socket.share?.end : connection.session.error;
  if (typeof end === 'number' && end !== 0) return fail(lpErrno, end);
  if (socket.share === null) {
    if (connection === null || connection.session.isOver) return fail(lpErrno, wsa.WSAENOTCONN);
    const { moving } = connection.session;
    if (!moving.isPossible) return fail(lpErrno, wsa.WSAEOPNOTSUPP);
    socket.sanProviderId = connection.companion.provider.providerId;
  }
  const share = socket.share ?? Share.open(core, socket, services, null);
  if (share === null) return fail(lpErrno, wsa.WSAENOBUFS);
  const { family: iAddressFamily, type: iSocketType, protocol: iProtocol, sanProviderId } = socket;
  const entry = { ...core.tcpInfo, iAddressFamily, iSocketType, iProtocol };
  const record: DuplicateRecord = {
    channel: share.name,
    providerId: sanProviderId,
    tcpReserved: offerTcp(core, socket, processId),
    localName: hex(localName),
    peerName: hex(peerName),
    options: optionsOf(socket),
  };
  const name = services.handover.leave(processId, encodeRecord(record));
  if (name === null) {
    share.withdraw();
    return fail(lpErrno, wsa.WSAENOBUFS);
  }
  share.offered();
  Object.assign(info, entry, { ProviderId: sanProviderId, dwProviderReserved: name });
  return 0;
}

/** Whether `info` is of a socket that a SAN provider of this host carries. */
export function isShared(core: SwitchCore, info: WSAPROTOCOL_INFO): boolean {
  return core.providers.some(({ providerId }) => providerId === info.ProviderId);
}

/**
 * A descriptor of the socket, without control; or INVALID_SOCKET with WSAEINVAL when there is none for
 * this process or whoever offered it is gone, or the error of TCP/IP.
 */
export function takeShared(
  core: SwitchCore,
  kind: SocketKind,
  info: WSAPROTOCOL_INFO,
  dwFlags: number,
  lpErrno: Ref<number>,
): number {
  lpErrno.value = wsa.WSAEINVAL;
  const services = core.environment.sharing;
  const left = services?.handover.take(info.dwProviderReserved) ?? null;
  const record = left === null ? null : decodeRecord(left);
  if (services === undefined || record === null) return ws.INVALID_SOCKET;
  const s = takeTcp(core, kind, record.tcpReserved, lpErrno);
  if (s === ws.INVALID_SOCKET) return s;
  const overlappedCapable = (dwFlags & ws.WSA_FLAG_OVERLAPPED) !== 0;
  const socket = new SwitchSocket(s, { ...kind, overlappedCapable });
  core.sockets.add(socket);
  socket.state = SocketState.connected;
  socket.isBound = true;
  socket.connectedAt = core.environment.clock.now();
  socket.localName = Buffer.from(record.localName, 'hex');
  socket.peerName = Buffer.from(record.peerName, 'hex');
  socket.sanProviderId = record.providerId;
  // It reports FD_WRITE and never FD_CONNECT, as an accepted one. [W10.7]
  socket.reportedEvents = ws.FD_CONNECT | ws.FD_ACCEPT;
  applyOptions(core, socket, record.options, []);
  if (Share.open(core, socket, services, record.channel) !== null) return s;
  core.sockets.remove(socket);
  core.tcp.lpWSPCloseSocket(s, ws.ref(0));
  lpErrno.value = wsa.WSAEINVAL;
  return ws.INVALID_SOCKET;
}

/** TCP/IP's part of the socket, which owns the port; 0 where it cannot be shared. [COMP-01, COMP-03] */
function offerTcp(core: SwitchCore, { descriptor }: SwitchSocket, processId: number): number {
  const entry = { ...core.tcpInfo };
  const failed = core.tcp.lpWSPDuplicateSocket(descriptor, processId, entry, ws.ref(0)) !== 0;
  return failed ? 0 : entry.dwProviderReserved;
}

function takeTcp(
  core: SwitchCore,
  { family, type, protocol }: SocketKind,
  tcpReserved: number,
  lpErrno: Ref<number>,
): number {
  const { tcp, tcpInfo } = core;
  const flags = ws.WSA_FLAG_OVERLAPPED;
  const info = { ...tcpInfo, dwProviderReserved: tcpReserved };
  const s = tcp.lpWSPSocket(family, type, protocol, info, 0, flags, lpErrno);
  if (s !== ws.INVALID_SOCKET || tcpReserved === 0) return s;
  // Whoever had it may be gone, and with it the port; the connection does not need it.
  return tcp.lpWSPSocket(family, type, protocol, tcpInfo, 0, flags, lpErrno);
}

function hex(name: Uint8Array): string {
  return Buffer.from(name).toString('hex');
}
