// Connections and messages of the fake SAN provider. Source: wsd-spec 5.4 to 5.12.

import * as spi from '../../../provider/spi/index.js';
import type { FakeSan } from './fake-san.js';
import type { FakeSanSocket } from './fake-san-socket.js';

export function dataProcedures(san: FakeSan): Partial<spi.WSPProcTable> {
  return { ...connectionProcedures(san), ...transferProcedures(san) };
}

function connectionProcedures(san: FakeSan): Partial<spi.WSPProcTable> {
  return {
    lpWSPBind(s, name, _length, lpErrno) {
      san.log.push(`WSPBind(${textOf(name)})`);
      const socket = san.find(s, lpErrno);
      if (socket === null || name === null) return spi.SOCKET_ERROR;
      if (san.failure('WSPBind', lpErrno)) return spi.SOCKET_ERROR;
      socket.address = spi.sockaddrInAddress(name);
      socket.port = spi.sockaddrPort(name);
      socket.isBound = true;
      return 0;
    },
    lpWSPListen(s, backlog, lpErrno) {
      san.log.push('WSPListen');
      const socket = san.find(s, lpErrno);
      if (socket === null || san.failure('WSPListen', lpErrno)) return spi.SOCKET_ERROR;
      socket.backlog = backlog;
      return 0;
    },
    lpWSPEventSelect(s, event, mask, lpErrno) {
      san.log.push(`WSPEventSelect(${mask})`);
      const socket = san.find(s, lpErrno);
      if (socket === null) return spi.SOCKET_ERROR;
      if ((mask & ~(spi.FD_ACCEPT | spi.FD_CONNECT)) !== 0) return spi.fail(lpErrno, spi.WSAEINVAL);
      socket.event = event;
      socket.eventMask = mask;
      return 0;
    },
    lpWSPEnumNetworkEvents(s, event, out, lpErrno) {
      san.log.push('WSPEnumNetworkEvents');
      const socket = san.find(s, lpErrno);
      if (socket === null || out === null) return spi.SOCKET_ERROR;
      out.lNetworkEvents = socket.events;
      out.iErrorCode[spi.FD_CONNECT_BIT] = socket.connectError;
      out.iErrorCode[spi.FD_ACCEPT_BIT] = 0;
      socket.events = 0;
      if (event !== 0) san.table.lpWPUResetEvent(event, lpErrno);
      return 0;
    },
    lpWSPConnect(s, name, _length, _caller, _callee, _sqos, _gqos, lpErrno) {
      san.log.push(`WSPConnect(${textOf(name)})`);
      const socket = san.find(s, lpErrno);
      if (socket === null || name === null) return spi.SOCKET_ERROR;
      if (san.failure('WSPConnect', lpErrno)) return spi.SOCKET_ERROR;
      const late = san.options.fail['FD_CONNECT'];
      const address = spi.sockaddrInAddress(name);
      const port = spi.sockaddrPort(name);
      san.deferred.push(() => {
        if (!san.sockets.has(s)) return;
        if (late === undefined) request(san, socket, address, port);
        else connectEnded(san, socket, late);
      });
      return spi.fail(lpErrno, spi.WSAEWOULDBLOCK);
    },
    lpWSPAccept: (s, addr, addrlen, condition, data, lpErrno) =>
      accept(san, s, { addr, addrlen, condition, data }, lpErrno),
    lpWSPCloseSocket(s, lpErrno) {
      san.log.push('WSPCloseSocket');
      if (san.options.nested) san.due();
      const socket = san.find(s, lpErrno);
      if (socket === null) return spi.SOCKET_ERROR;
      san.sockets.delete(s);
      for (const waiting of socket.requests.splice(0)) refuse(san, waiting, spi.WSAECONNREFUSED);
      const aborted = socket.posted.splice(0);
      const abort = (): number => {
        for (const { overlapped } of aborted) {
          san.complete(socket, overlapped, spi.WSA_OPERATION_ABORTED, 0);
        }
        return san.table.lpWPUCloseSocketHandle(socket.handle, lpErrno);
      };
      for (const id of socket.exposures) san.network.exposures.delete(id);
      socket.exposures.clear();
      socket.registrations.clear();
      const { peer } = socket;
      const other = peer === null ? null : san.network.providerAt(peer.address);
      if (peer !== null && other !== null) {
        other.deferred.push(() => {
          other.deliver(peer);
          other.lose(peer, spi.WSAECONNRESET);
        });
      }
      if (!san.options.abortsLate) return abort();
      san.deferred.push(abort);
      return 0;
    },
  };
}

function request(san: FakeSan, socket: FakeSanSocket, address: number, port: number): void {
  const other = san.network.providerAt(address);
  const listener = [...(other?.sockets.values() ?? [])].find(
    (one) => one.backlog > 0 && one.port === port && (one.address === 0 || one.address === address),
  );
  if (other === null || listener === undefined) {
    connectEnded(san, socket, spi.WSAECONNRESET);
    return;
  }
  if (listener.requests.length >= listener.backlog) {
    connectEnded(san, socket, spi.WSAECONNREFUSED);
    return;
  }
  listener.requests.push(socket);
  listener.events |= spi.FD_ACCEPT;
  if ((listener.eventMask & spi.FD_ACCEPT) !== 0)
    other.table.lpWPUSetEvent(listener.event, spi.ref(0));
}

function connectEnded(san: FakeSan, socket: FakeSanSocket, error: number): void {
  socket.connectError = error;
  socket.events |= spi.FD_CONNECT;
  if (socket.event !== 0) san.table.lpWPUSetEvent(socket.event, spi.ref(0));
}

function refuse(san: FakeSan, waiting: FakeSanSocket, error: number): void {
  const home = san.network.providerAt(waiting.address);
  home?.deferred.push(() => {
    connectEnded(home, waiting, error);
  });
}

function accept(
  san: FakeSan,
  s: number,
  args: {
    addr: Uint8Array | null;
    addrlen: spi.Ref<number> | null;
    condition: spi.LPCONDITIONPROC | null;
    data: unknown;
  },
  lpErrno: spi.Ref<number>,
): number {
  san.log.push('WSPAccept');
  const listener = san.find(s, lpErrno);
  if (listener === null) return spi.INVALID_SOCKET;
  const connector = listener.requests.shift();
  if (connector === undefined || args.condition === null) {
    lpErrno.value = spi.WSAEWOULDBLOCK;
    return spi.INVALID_SOCKET;
  }
  const peerName = spi.sockaddrIn(connector.address, connector.port);
  const localName = spi.sockaddrIn(san.address, listener.port);
  const answer = args.condition(
    { len: 16, buf: peerName },
    null,
    null,
    null,
    { len: 16, buf: localName },
    null,
    null,
    args.data,
  );
  if (answer === spi.CF_DEFER) {
    listener.requests.unshift(connector);
    lpErrno.value = spi.WSATRY_AGAIN;
    return spi.INVALID_SOCKET;
  }
  if (answer !== spi.CF_ACCEPT) {
    refuse(san, connector, spi.WSAECONNREFUSED);
    lpErrno.value = spi.WSAECONNREFUSED;
    return spi.INVALID_SOCKET;
  }
  const socket = san.open(san.address, listener.port);
  if (socket === null) return spi.INVALID_SOCKET;
  socket.peer = connector;
  connector.peer = socket;
  if (args.addr !== null) args.addr.set(peerName);
  if (args.addrlen !== null) args.addrlen.value = peerName.length;
  refuse(san, connector, 0);
  return socket.descriptor;
}

function transferProcedures(san: FakeSan): Partial<spi.WSPProcTable> {
  return {
    lpWSPRecv(s, buffers, count, _bytes, _flags, overlapped, _routine, _thread, lpErrno) {
      const socket = san.find(s, lpErrno);
      if (socket === null) return spi.SOCKET_ERROR;
      if (socket.lost !== 0) return spi.fail(lpErrno, socket.lost);
      const buffer = buffers?.[0];
      if (!buffer?.buf || count !== 1 || overlapped === null) {
        return spi.fail(lpErrno, spi.WSAEINVAL);
      }
      if (!isRegistered(socket, buffer.buf, buffer.len, spi.MEM_WRITE)) {
        return spi.fail(lpErrno, spi.WSAEFAULT);
      }
      socket.posted.push({ memory: buffer.buf.subarray(0, buffer.len), overlapped });
      if (socket.inbox.length > 0) {
        san.deferred.push(() => {
          san.deliver(socket);
        });
      }
      return spi.fail(lpErrno, spi.WSA_IO_PENDING);
    },
    lpWSPSend(s, buffers, count, bytes, flags, overlapped, _routine, _thread, lpErrno) {
      if (san.options.nested) san.due();
      const socket = san.find(s, lpErrno);
      if (socket === null) return spi.SOCKET_ERROR;
      if (socket.lost !== 0) return spi.fail(lpErrno, socket.lost);
      const buffer = buffers?.[0];
      if (!buffer?.buf || count !== 1 || flags !== 0 || overlapped === null) {
        return spi.fail(lpErrno, spi.WSAEINVAL);
      }
      const { len, buf } = buffer;
      if (!isRegistered(socket, buf, len, spi.MEM_READ)) return spi.fail(lpErrno, spi.WSAEFAULT);
      if (len > (san.options.maxMessageSize ?? Infinity)) return spi.fail(lpErrno, spi.WSAEFAULT);
      if (socket.outstanding >= san.options.queueDepth) return spi.fail(lpErrno, spi.WSAENOBUFS);
      san.messageBytes += len;
      transmit(san, socket, buf.slice(0, len));
      if (san.options.inline) {
        if (bytes !== null) bytes.value = len;
        return 0;
      }
      socket.outstanding++;
      san.mostOutstanding = Math.max(san.mostOutstanding, socket.outstanding);
      const end = (): void => {
        socket.outstanding--;
        san.complete(socket, overlapped, 0, len);
      };
      if (san.options.lazy) lazyEnds.set(overlapped, end);
      else san.later(end);
      return spi.fail(lpErrno, spi.WSA_IO_PENDING);
    },
    lpWSPGetOverlappedResult(s, overlapped, bytes, wait, flags, lpErrno) {
      // GOR-05: the switch polls, and never has a provider wait.
      if (wait) throw new Error('fWait is true');
      if (san.options.nested) san.due();
      if (overlapped === null || san.find(s, lpErrno) === null) return false;
      const end = lazyEnds.get(overlapped);
      lazyEnds.delete(overlapped);
      end?.();
      if (overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS) {
        lpErrno.value = spi.WSA_IO_INCOMPLETE;
        return false;
      }
      lpErrno.value = spi.wsaErrorOfStatus(overlapped.Internal);
      if (lpErrno.value !== 0) return false;
      if (bytes !== null) bytes.value = overlapped.InternalHigh;
      if (flags !== null) flags.value = 0;
      return true;
    },
  };
}

/** Calls of lazy providers that end when somebody asks. */
const lazyEnds = new WeakMap<spi.WSAOVERLAPPED, () => void>();

function transmit(san: FakeSan, socket: FakeSanSocket, message: Uint8Array): void {
  const { peer } = socket;
  if (peer === null) return;
  const other = san.network.providerAt(peer.address);
  other?.deferred.push(() => {
    peer.inbox.push(message);
    other.deliver(peer);
  });
}

function isRegistered(
  socket: FakeSanSocket,
  buffer: Uint8Array,
  length: number,
  access: number,
): boolean {
  for (const { memory, access: allowed } of socket.registrations.values()) {
    const sameBlock = memory.buffer === buffer.buffer && (allowed & access) !== 0;
    const from = memory.byteOffset;
    const end = buffer.byteOffset + length;
    if (sameBlock && buffer.byteOffset >= from && end <= from + memory.length) return true;
  }
  return false;
}

function textOf(name: Uint8Array | null): string {
  const endpoint = name === null ? null : spi.parseSockaddr(name);
  return endpoint === null ? '?' : `${endpoint.ip}:${endpoint.port}`;
}
