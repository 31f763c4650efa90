// The calls that make, connect and end sockets and registrations, watched: what the verifier knows of
// handles, peers and memory comes from here. Sources: SOCKET-03, ACCEPT-02, CLOSESOCK-02, DEREGMEM-02,
// REGRDMA-03, COMP-07.

import * as wsa from '../../spi/error-codes.js';
import { errorName } from '../../spi/errors.js';
import { parseSockaddr } from '../../spi/sockaddr.js';
import type { LPCONDITIONPROC, Ref, WSABUF } from '../../spi/winsock2.js';
import { CF_ACCEPT, INVALID_SOCKET } from '../../spi/winsock2.js';
import type { SanExtensions } from '../../spi/ws2san.js';
import type { LPWSPACCEPT, WSPProcTable } from '../../spi/ws2spi.js';
import { Range } from './memory.js';
import type { HostShadow } from './world.js';
import { SocketShadow } from './world.js';

/** A call on a descriptor that is none must be WSAENOTSOCK. Returns what the provider returned. */
export function checkClosed<T extends number>(
  host: HostShadow,
  call: string,
  s: number,
  returned: T,
  errno: Ref<number>,
): T {
  if (host.sockets.has(s) || host.starts === 0) return returned;
  const wasClosed = host.closed.has(s);
  if (wasClosed) host.stop('CALL_AFTER_CLOSE', `It is ${call}.`);
  else if (host.byHandle.has(s)) host.stop('HANDLE_IN_CALL', `It is ${call}.`);
  const isRefused = returned === -1 && errno.value === wsa.WSAENOTSOCK;
  if ((wasClosed || s === INVALID_SOCKET) && !isRefused) {
    const said = returned === -1 ? errorName(errno.value) : String(returned);
    host.stop('CLOSED_SOCKET_SERVED', `${call} ended with ${said}.`);
  }
  return returned;
}

/** Codes that the table of a function excludes. */
const FORBIDDEN: Readonly<Record<string, readonly number[]>> = {
  WSPBind: [wsa.WSAEADDRINUSE, wsa.WSAEINPROGRESS],
  WSPListen: [wsa.WSAEINPROGRESS, wsa.WSAEOPNOTSUPP],
  WSPCloseSocket: [wsa.WSAEINPROGRESS, wsa.WSAEWOULDBLOCK],
  WSPCleanup: [wsa.WSAEINVAL],
  WSPGetSockOpt: [wsa.WSAEINPROGRESS],
  WSPSetSockOpt: [wsa.WSAEINPROGRESS],
};

/** The table that the caller gets, transfers left as they are. */
export function watchedCalls(host: HostShadow, inner: WSPProcTable): WSPProcTable {
  return {
    ...inner,
    lpWSPSocket: watchSocket(host, inner),
    lpWSPAccept: inner.lpWSPAccept === null ? null : watchAccept(host, inner.lpWSPAccept),
    lpWSPBind: watchBind(host, inner),
    lpWSPConnect: watchConnect(host, inner),
    lpWSPCloseSocket: watchClose(host, inner),
    lpWSPCleanup: watchCleanup(host, inner),
    lpWSPDuplicateSocket: watchDuplicate(host, inner),
    lpWSPListen: plain(host, 'WSPListen', inner.lpWSPListen),
    lpWSPEventSelect: plain(host, 'WSPEventSelect', inner.lpWSPEventSelect),
    lpWSPEnumNetworkEvents: plain(host, 'WSPEnumNetworkEvents', inner.lpWSPEnumNetworkEvents),
    lpWSPGetSockOpt: plain(host, 'WSPGetSockOpt', inner.lpWSPGetSockOpt),
    lpWSPSetSockOpt: plain(host, 'WSPSetSockOpt', inner.lpWSPSetSockOpt),
  };
}

/** A call that names a socket first and lpErrno last, and changes nothing that is known. */
function plain<P extends [number, ...unknown[]]>(
  host: HostShadow,
  call: string,
  inner: ((...parameters: P) => number) | null,
): ((...parameters: P) => number) | null {
  if (inner === null) return null;
  return (...parameters) => {
    const returned = inner(...parameters);
    return checkOutcome(host, call, parameters[0], returned, parameters.at(-1) as Ref<number>);
  };
}

function checkOutcome(
  host: HostShadow,
  call: string,
  s: number,
  returned: number,
  errno: Ref<number>,
): number {
  checkCode(host, call, s, returned, errno);
  return checkClosed(host, call, s, returned, errno);
}

function checkCode(
  host: HostShadow,
  call: string,
  s: number,
  returned: number,
  errno: Ref<number>,
): void {
  const error = returned === 0 ? 0 : errno.value;
  host.journal.note(call, s, error);
  if (returned !== 0 && returned !== -1) {
    host.stop('RETURN_VALUE', `${call} returned ${String(returned)}.`);
  }
  if (FORBIDDEN[call]?.includes(error) === true) {
    host.stop('FORBIDDEN_ERROR', `${call} failed with ${errorName(error)}.`);
  }
}

function watchSocket(host: HostShadow, { lpWSPSocket: inner }: WSPProcTable): typeof inner {
  if (inner === null) return null;
  return (af, type, protocol, info, g, flags, errno) => {
    const s = withNewHandles(host, () => inner(af, type, protocol, info, g, flags, errno));
    host.journal.note('WSPSocket', s, s === INVALID_SOCKET ? errno.value : 0);
    return s;
  };
}

/** Makes a call that makes a socket, and joins its descriptor with the handle it got. */
function withNewHandles(host: HostShadow, call: () => number): number {
  const outer = host.newHandles;
  host.newHandles = [];
  try {
    const s = call();
    if (s === INVALID_SOCKET) return s;
    const handle = host.newHandles.at(-1);
    if (handle === undefined) {
      host.stop('NO_HANDLE', `The descriptor is ${s}.`);
      return s;
    }
    if (host.sockets.has(s)) host.stop('DESCRIPTOR_REUSED', `It is ${s}.`);
    const socket = new SocketShadow(s, handle);
    host.sockets.set(s, socket);
    host.closed.delete(s);
    host.byHandle.set(handle, socket);
    return s;
  } finally {
    host.newHandles = outer;
  }
}

function watchAccept(host: HostShadow, inner: LPWSPACCEPT): LPWSPACCEPT {
  return (s, addr, addrlen, condition, data, errno) => {
    let calls = 0;
    let isRunning = true;
    let caller = '';
    let callee = '';
    const watched: LPCONDITIONPROC | null =
      condition === null
        ? null
        : (...parameters) => {
            calls++;
            if (!isRunning || calls > 1) {
              host.stop('CONDITION_OUTSIDE_ACCEPT', `It is call number ${calls}.`);
            }
            caller = nameOf(parameters[0]);
            callee = nameOf(parameters[4]);
            return condition(...parameters);
          };
    const accepted = withNewHandles(host, () => inner(s, addr, addrlen, watched, data, errno));
    isRunning = false;
    host.journal.note('WSPAccept', s, accepted === INVALID_SOCKET ? errno.value : 0);
    if (accepted === INVALID_SOCKET) {
      checkClosed(host, 'WSPAccept', s, -1, errno);
      return accepted;
    }
    if (condition !== null && calls === 0) {
      host.stop('CONDITION_NOT_CALLED', `CF_ACCEPT is ${CF_ACCEPT}.`);
    }
    join(host, accepted, caller, callee);
    return accepted;
  };
}

/** The two ends of a connection find each other, if this verifier sees both. */
function join(host: HostShadow, accepted: number, caller: string, callee: string): void {
  const socket = host.socket(accepted);
  const key = `${caller} > ${callee}`;
  const peer = host.world.connecting.get(key);
  if (socket === null || peer === undefined) return;
  host.world.connecting.delete(key);
  socket.localName = callee;
  socket.peer = peer;
  peer.peer = socket;
}

function nameOf({ buf, len }: WSABUF): string {
  const endpoint = buf === null ? null : parseSockaddr(buf, len);
  return endpoint === null ? '' : `${endpoint.ip}:${endpoint.port}`;
}

function watchBind(host: HostShadow, { lpWSPBind: inner }: WSPProcTable): typeof inner {
  if (inner === null) return null;
  return (s, name, namelen, errno) => {
    const returned = checkOutcome(host, 'WSPBind', s, inner(s, name, namelen, errno), errno);
    const socket = host.socket(s);
    if (returned === 0 && socket !== null) socket.localName = nameOf({ buf: name, len: namelen });
    return returned;
  };
}

function watchConnect(host: HostShadow, { lpWSPConnect: inner }: WSPProcTable): typeof inner {
  if (inner === null) return null;
  return (s, name, namelen, ...rest) => {
    const socket = host.socket(s);
    const key = `${socket?.localName ?? ''} > ${nameOf({ buf: name, len: namelen })}`;
    // Before the call, because the peer may have accepted when it returns.
    const earlier = host.world.connecting.get(key);
    if (socket !== null && socket.peer === null) host.world.connecting.set(key, socket);
    const errno = rest[4];
    const returned = inner(s, name, namelen, ...rest);
    const isOver = returned !== 0 && errno.value !== wsa.WSAEWOULDBLOCK;
    if (isOver && earlier === undefined) host.world.connecting.delete(key);
    return checkOutcome(host, 'WSPConnect', s, returned, errno);
  };
}

function watchClose(host: HostShadow, { lpWSPCloseSocket: inner }: WSPProcTable): typeof inner {
  if (inner === null) return null;
  return (s, errno) => {
    const socket = host.socket(s);
    if (socket === null) {
      return checkOutcome(host, 'WSPCloseSocket', s, inner(s, errno), errno);
    }
    // Before the call, because upcalls come from within it.
    closed(host, socket);
    const returned = inner(s, errno);
    if (returned !== 0) reopened(host, socket);
    checkCode(host, 'WSPCloseSocket', s, returned, errno);
    return returned;
  };
}

function closed(host: HostShadow, socket: SocketShadow): void {
  socket.isClosed = true;
  host.sockets.delete(socket.descriptor);
  host.closed.add(socket.descriptor);
}

function reopened(host: HostShadow, socket: SocketShadow): void {
  socket.isClosed = false;
  host.sockets.set(socket.descriptor, socket);
  host.closed.delete(socket.descriptor);
}

function watchCleanup(host: HostShadow, { lpWSPCleanup: inner }: WSPProcTable): typeof inner {
  if (inner === null) return null;
  return (errno) => {
    const isLast = host.starts === 1;
    if (isLast) for (const socket of [...host.sockets.values()]) closed(host, socket);
    const returned = inner(errno);
    host.journal.note('WSPCleanup', 0, returned === 0 ? 0 : errno.value);
    if (returned === 0 && host.starts > 0) host.starts--;
    return returned;
  };
}

function watchDuplicate(
  host: HostShadow,
  { lpWSPDuplicateSocket: inner }: WSPProcTable,
): typeof inner {
  if (inner === null) return null;
  return (s, pid, info, errno) => {
    const socket = host.socket(s);
    if (socket !== null) socket.isHandedOver = true;
    const returned = inner(s, pid, info, errno);
    if (returned !== 0 && socket !== null) socket.isHandedOver = false;
    return checkOutcome(host, 'WSPDuplicateSocket', s, returned, errno);
  };
}

type RegistrationCall =
  | 'WSPRegisterMemory'
  | 'WSPDeregisterMemory'
  | 'WSPRegisterRdmaMemory'
  | 'WSPDeregisterRdmaMemory';

/** For each function what makes a watched one of it. */
type RegistrationWatchers = {
  readonly [Call in RegistrationCall]: (inner: SanExtensions[Call]) => SanExtensions[Call];
};

/** The four functions that register and deregister. */
export function watchedRegistration(host: HostShadow): RegistrationWatchers {
  return {
    WSPRegisterMemory: (inner) => (s, buffer, length, flags, errno) => {
      const handle = inner(s, buffer, length, flags, errno);
      host.journal.note('WSPRegisterMemory', s, handle === 0 ? errno.value : 0);
      checkClosed(host, 'WSPRegisterMemory', s, handle === 0 ? -1 : 0, errno);
      if (handle !== 0 && buffer !== null) {
        host.socket(s)?.memory.add(handle, buffer, length, flags);
      }
      return handle;
    },
    WSPDeregisterMemory: (inner) => (s, handle, errno) => {
      const returned = inner(s, handle, errno);
      checkOutcome(host, 'WSPDeregisterMemory', s, returned, errno);
      const memory = host.socket(s)?.memory;
      if (returned !== 0 || memory === undefined) return returned;
      const range = memory.byHandle.get(handle);
      if (range === undefined) host.stop('UNKNOWN_HANDLE_ACCEPTED', `The handle is ${handle}.`);
      else if (range.busy > 0 && range.references === 1) {
        host.stop('BUSY_DEREGISTERED', `${range.busy} transfers use it.`, range.places());
      }
      memory.remove(handle);
      return returned;
    },
    WSPRegisterRdmaMemory: (inner) => (s, buffer, length, flags, block, room, errno) => {
      const before = Math.min(room.value, block?.length ?? 0);
      const returned = inner(s, buffer, length, flags, block, room, errno);
      checkOutcome(host, 'WSPRegisterRdmaMemory', s, returned, errno);
      const socket = host.socket(s);
      if (returned !== 0 || socket === null) return returned;
      if (room.value > before || block === null || buffer === null) {
        host.stop('SHORT_DESCRIPTOR_ACCEPTED', `${room.value} bytes in ${before}.`);
      } else {
        const descriptor = block.slice(0, room.value);
        host.world.exposures.add(descriptor, socket, new Range(buffer, length, flags));
      }
      return returned;
    },
    WSPDeregisterRdmaMemory: (inner) => (s, descriptor, length, errno) => {
      const returned = inner(s, descriptor, length, errno);
      checkOutcome(host, 'WSPDeregisterRdmaMemory', s, returned, errno);
      const socket = host.socket(s);
      if (returned !== 0 || socket === null || descriptor === null) return returned;
      const exposure = host.world.exposures.find(descriptor.slice(0, length));
      if (exposure === null || exposure.owner !== socket || !exposure.range.isLive) {
        host.stop('UNKNOWN_HANDLE_ACCEPTED', `A descriptor of ${length} bytes.`);
      } else {
        host.world.exposures.release(descriptor.slice(0, length), ++host.world.time);
      }
      return returned;
    },
  };
}
