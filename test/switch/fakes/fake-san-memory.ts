// The extension functions of the fake SAN provider: registrations by handle, exposed memory by a
// number in an 8-byte descriptor, RDMA as a copy in a later turn. Source: wsd-spec section 6.

import * as spi from '../../../provider/spi/index.js';
import type { FakeSan } from './fake-san.js';

const DESCRIPTOR_BYTES = 8;
let nextHandle = 7;

export function sanExtensions(san: FakeSan): spi.SanExtensions {
  return {
    WSPRegisterMemory(s, buffer, length, flags, lpErrno) {
      const socket = san.find(s, lpErrno);
      if (socket === null || san.failure('WSPRegisterMemory', lpErrno)) return 0;
      if (buffer === null || length > buffer.length) return zero(lpErrno, spi.WSAEFAULT);
      if (socket.peer === null) return zero(lpErrno, spi.WSAENOTCONN);
      if (socket.registrations.size >= san.options.registrationsMax) {
        return zero(lpErrno, spi.WSAENOBUFS);
      }
      const handle = (nextHandle += 2);
      socket.registrations.set(handle, { memory: buffer.subarray(0, length), access: flags });
      return handle;
    },
    WSPDeregisterMemory(s, handle, lpErrno) {
      const socket = san.find(s, lpErrno);
      if (socket === null) return spi.SOCKET_ERROR;
      return socket.registrations.delete(handle) ? 0 : spi.fail(lpErrno, spi.WSAEINVAL);
    },
    WSPRegisterRdmaMemory(s, buffer, length, access, descriptor, descriptorLength, lpErrno) {
      const socket = san.find(s, lpErrno);
      if (socket === null) return spi.SOCKET_ERROR;
      san.descriptorRooms.push(descriptorLength.value);
      if (descriptor === null || descriptorLength.value < DESCRIPTOR_BYTES) {
        descriptorLength.value = DESCRIPTOR_BYTES;
        return spi.fail(lpErrno, spi.WSAEFAULT);
      }
      if (san.failure('WSPRegisterRdmaMemory', lpErrno)) return spi.SOCKET_ERROR;
      if (buffer === null || length > buffer.length) return spi.fail(lpErrno, spi.WSAEFAULT);
      const { network } = san;
      const id = network.nextExposure++;
      network.exposures.set(id, { socket, memory: buffer.subarray(0, length), access });
      socket.exposures.add(id);
      descriptor.fill(0, 0, DESCRIPTOR_BYTES);
      descriptor.set([id & 255, (id >>> 8) & 255, (id >>> 16) & 255]);
      descriptorLength.value = DESCRIPTOR_BYTES;
      return 0;
    },
    WSPDeregisterRdmaMemory(s, descriptor, length, lpErrno) {
      const socket = san.find(s, lpErrno);
      if (socket === null) return spi.SOCKET_ERROR;
      const id = descriptor === null || length !== DESCRIPTOR_BYTES ? 0 : idOf(descriptor);
      if (!socket.exposures.delete(id)) return spi.fail(lpErrno, spi.WSAEINVAL);
      san.network.exposures.delete(id);
      return 0;
    },
    WSPRdmaWrite: rdma(san, 'write'),
    WSPRdmaRead: san.options.rdmaRead ? rdma(san, 'read') : null,
    WSPMemoryRegistrationCacheCallback: () => {
      san.cacheCallbacks++;
      return 0;
    },
  };
}

function rdma(san: FakeSan, direction: 'read' | 'write'): spi.LPFN_WSPRDMAWRITE {
  return (
    s,
    buffers,
    count,
    remote,
    remoteLength,
    offset,
    bytes,
    _flags,
    overlapped,
    _r,
    _t,
    lpErrno,
  ) => {
    const socket = san.find(s, lpErrno);
    if (socket === null) return spi.SOCKET_ERROR;
    if (socket.lost !== 0) return spi.fail(lpErrno, socket.lost);
    const local = buffers?.[0];
    if (!local?.buf || count !== 1 || remote === null || overlapped === null) {
      return spi.fail(lpErrno, spi.WSAEINVAL);
    }
    if (!socket.registrations.has(local.handle)) return spi.fail(lpErrno, spi.WSAEINVAL);
    if (remoteLength !== DESCRIPTOR_BYTES) return spi.fail(lpErrno, spi.WSAEINVAL);
    if (socket.outstanding >= san.options.queueDepth) return spi.fail(lpErrno, spi.WSAENOBUFS);
    const { len } = local;
    const memory = local.buf.subarray(0, len);
    san.mostRdmaBytes = Math.max(san.mostRdmaBytes, len);
    const move = (): number => {
      const exposed = san.network.exposures.get(idOf(remote));
      const wanted = direction === 'read' ? spi.MEM_READ : spi.MEM_WRITE;
      const fits = exposed !== undefined && exposed.socket === socket.peer;
      if (!fits || (exposed.access & wanted) === 0) return spi.WSAECONNABORTED;
      if (offset + len > exposed.memory.length) return spi.WSAECONNABORTED;
      const target = exposed.memory.subarray(offset, offset + len);
      san.rdmaBytes += len;
      if (direction === 'read') memory.set(target);
      else target.set(memory);
      return 0;
    };
    if (san.options.inline) {
      const error = move();
      if (error !== 0) return spi.fail(lpErrno, error);
      if (bytes !== null) bytes.value = len;
      return 0;
    }
    socket.outstanding++;
    san.mostOutstanding = Math.max(san.mostOutstanding, socket.outstanding);
    san.later(() => {
      socket.outstanding--;
      const isOpen = san.sockets.has(s) && socket.lost === 0;
      const error = isOpen ? move() : spi.WSA_OPERATION_ABORTED;
      san.complete(socket, overlapped, error, error === 0 ? len : 0);
    });
    return spi.fail(lpErrno, spi.WSA_IO_PENDING);
  };
}

function idOf(descriptor: Uint8Array): number {
  const [a = 0, b = 0, c = 0] = descriptor;
  return a | (b << 8) | (c << 16);
}

function zero(lpErrno: spi.Ref<number>, code: number): 0 {
  lpErrno.value = code;
  return 0;
}
