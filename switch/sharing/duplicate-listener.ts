// WSADuplicateSocket of a listening socket with companions, for another process, and WSASocket there.
// TCP/IP's part is both processes' at once; the companions stay where they are until the other process
// accepts. [DUP-04] The entry filled in is the switch's own: whoever takes it need not have the
// providers. Sources: W3.7, DUP-02, DUP-07, DUP-14.

import * as wsa from '../../provider/spi/error-codes.js';
import type { Ref, WSAPROTOCOL_INFO } from '../../provider/spi/winsock2.js';
import * as ws from '../../provider/spi/winsock2.js';
import { fail } from '../../provider/spi/ws2spi.js';
import { SWITCH_PROVIDER_ID } from '../catalog.js';
import type { SwitchCore } from '../core.js';
import { listen, Listener } from '../listen.js';
import type { SocketKind } from '../socket-arguments.js';
import { SwitchSocket } from '../socket.js';
import { ListenerShare } from './listener.js';
import { decodeListener, encodeListener } from './listener-state.js';

/** Whether there are companions that other processes may ask for. */
export function canShareListener(core: SwitchCore, { listener, localName }: SwitchSocket): boolean {
  if (listener === null || localName === null || core.environment.sharing === undefined)
    return false;
  return listener.sharing !== null || listener.hasCompanions;
}

/** Fills `info` in for one WSASocket of `processId`. TCP/IP's error, or WSAENOBUFS without room. */
export function offerListener(
  core: SwitchCore,
  { listener, localName, descriptor }: SwitchSocket,
  processId: number,
  info: WSAPROTOCOL_INFO,
  lpErrno: Ref<number>,
): number {
  const services = core.environment.sharing;
  if (listener === null || localName === null || services === undefined) {
    return fail(lpErrno, wsa.WSAEOPNOTSUPP);
  }
  if (core.tcp.lpWSPDuplicateSocket(descriptor, processId, info, lpErrno) !== 0) {
    return ws.SOCKET_ERROR;
  }
  const share = listener.sharing ?? ListenerShare.open(core, listener, services, null);
  if (share === null) return fail(lpErrno, wsa.WSAENOBUFS);
  const record = {
    channel: share.name,
    tcpReserved: info.dwProviderReserved,
    localName: Buffer.from(localName).toString('hex'),
    backlog: listener.backlog,
  };
  const name = services.handover.leave(processId, encodeListener(record));
  if (name === null) {
    share.withdraw();
    return fail(lpErrno, wsa.WSAENOBUFS);
  }
  share.offered();
  Object.assign(info, { ProviderId: SWITCH_PROVIDER_ID, dwProviderReserved: name });
  return 0;
}

/** Whether `info` is of a listener that offerListener() was called for. */
export function isSharedListener(info: WSAPROTOCOL_INFO): boolean {
  return info.ProviderId === SWITCH_PROVIDER_ID && info.dwProviderReserved !== 0;
}

/**
 * A descriptor of the listener, without its companions; or INVALID_SOCKET with WSAEINVAL when there is
 * none for this process or whoever offered it is gone, or the error of TCP/IP.
 */
export function takeListener(
  core: SwitchCore,
  kind: SocketKind,
  info: WSAPROTOCOL_INFO,
  dwFlags: number,
  lpErrno: Ref<number>,
): number {
  const { tcp, tcpInfo, environment } = core;
  const services = environment.sharing;
  const left = services?.handover.take(info.dwProviderReserved) ?? null;
  const record = left === null ? null : decodeListener(left);
  lpErrno.value = wsa.WSAEINVAL;
  if (services === undefined || record === null) return ws.INVALID_SOCKET;
  const { family, type, protocol } = kind;
  const tcpPart = { ...tcpInfo, dwProviderReserved: record.tcpReserved };
  const flags = dwFlags | ws.WSA_FLAG_OVERLAPPED;
  const s = tcp.lpWSPSocket(family, type, protocol, tcpPart, 0, flags, lpErrno);
  if (s === ws.INVALID_SOCKET) return s;
  const overlappedCapable = (dwFlags & ws.WSA_FLAG_OVERLAPPED) !== 0;
  const socket = new SwitchSocket(s, { ...kind, overlappedCapable });
  core.sockets.add(socket);
  socket.isBound = true;
  socket.localName = Buffer.from(record.localName, 'hex');
  const { backlog } = record;
  const listener = new Listener(core, socket, backlog);
  socket.listener = listener;
  // Whoever offered it may be gone, and its companions with it: then it is a listener like any other.
  const isShared = ListenerShare.open(core, listener, services, record.channel) !== null;
  const error = listen(core, socket, backlog);
  if (error === 0) {
    if (!isShared) listener.goOnAlone();
    return s;
  }
  listener.close();
  core.sockets.remove(socket);
  tcp.lpWSPCloseSocket(s, ws.ref(0));
  lpErrno.value = error;
  return ws.INVALID_SOCKET;
}
