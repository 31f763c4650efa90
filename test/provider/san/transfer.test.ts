// What transfers move, and how each call that cannot start one fails.

import { describe, expect, it } from 'vitest';
import { Opcode, SendFlag } from '../../../provider/nic/verbs.js';
import * as spi from '../../../provider/spi/index.js';
import type { Pair } from './harness.js';
import { connectedPair, LEFT_PORT, settle, shutDown, underEveryProfile } from './harness.js';

const NO_ROUTINE = null;

function numbered(length: number, first = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => first + index);
}

interface Rdma extends Pair {
  readonly local: Uint8Array;
  readonly remote: Uint8Array;
  readonly handle: number;
  readonly target: Uint8Array;
}

function rdmaPair(profile: spi.Profile, flags: number = spi.MEM_READWRITE): Rdma {
  const pair = connectedPair({ profile });
  const local = numbered(64);
  const remote = new Uint8Array(128).fill(0xee);
  const handle = pair.left.register(pair.a, local, flags);
  return { ...pair, local, remote, handle, target: pair.right.expose(pair.b, remote) };
}

interface RdmaCall {
  readonly read?: boolean;
  readonly list?: spi.WSABUFEX[];
  readonly target?: Uint8Array | null;
  readonly length?: number;
  readonly offset?: number;
  readonly flags?: number;
  readonly overlapped?: spi.WSAOVERLAPPED | null;
}

/** The error of an RDMA call. */
function rdma(pair: Rdma, call: RdmaCall = {}): number {
  const { left, a, local, handle } = pair;
  const { target = pair.target, length = 32, offset = 0, flags = 0 } = call;
  const { list = [{ len: 64, buf: local, handle }] } = call;
  const { overlapped = spi.createOverlapped(1) } = call;
  const { WSPRdmaRead, WSPRdmaWrite } = left.extensions;
  const transfer = call.read === true ? WSPRdmaRead : WSPRdmaWrite;
  const { errno } = left;
  const { length: count } = list;
  const done = transfer?.(
    a,
    list,
    count,
    target,
    length,
    offset,
    null,
    flags,
    overlapped,
    null,
    null,
    errno,
  );
  expect(done).toBe(spi.SOCKET_ERROR);
  return errno.value;
}

underEveryProfile('WSPSend and WSPRecv', (profile) => {
  it('carry one message into one receive, gathered and scattered in array order [WSPSEND-04 WSPSEND-16 WSPRECV-01 WSPRECV-03 WSPRECV-08]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const source = numbered(24);
    const target = new Uint8Array(64);
    left.register(a, source);
    right.register(b, target);
    const received = spi.createOverlapped(1);
    const sent = spi.createOverlapped(1);
    right.receive(b, received, target.subarray(0, 10), target.subarray(32, 64));
    expect(left.send(a, sent, source.subarray(8, 24), source.subarray(0, 8))).toBe(
      spi.SOCKET_ERROR,
    );
    expect(left.errno.value).toBe(spi.WSA_IO_PENDING);
    settle(left, right);
    expect(left.result(a, sent)).toEqual([24, 0]);
    expect(right.result(b, received)).toEqual([24, 0]);
    const message = [...target.subarray(0, 10), ...target.subarray(32, 46)];
    expect(message).toEqual([...source.subarray(8), ...source.subarray(0, 8)]);
    shutDown(left, right);
  });

  it('keep the order of calls, with several in progress [WSPSEND-04 OVL-14]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const source = numbered(8);
    const target = new Uint8Array(8);
    left.register(a, source);
    right.register(b, target);
    const inProgress = Math.min(profile.sendQueueDepth ?? 4, 4);
    for (let index = 0; index < 8; index++) {
      right.receive(b, spi.createOverlapped(1), target.subarray(index, index + 1));
      left.send(a, spi.createOverlapped(1), source.subarray(index, index + 1));
      if ((index + 1) % inProgress === 0) settle(left, right);
    }
    expect(target).toEqual(source);
    shutDown(left, right);
  });

  it('wait for a receive instead of dropping the connection [SESS-07]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const buffer = numbered(8);
    left.register(a, buffer);
    const sent = spi.createOverlapped(1);
    left.send(a, sent, buffer);
    settle(left, right);
    expect(left.result(a, sent)).toEqual([-1, spi.WSA_IO_INCOMPLETE]);
    const target = new Uint8Array(8);
    right.register(b, target);
    right.receive(b, spi.createOverlapped(1), target);
    settle(left, right);
    expect(left.result(a, sent)).toEqual([8, 0]);
    expect(target).toEqual(buffer);
    shutDown(left, right);
  });

  it('copy the entries of the buffer array before they return [WSPSEND-03]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const source = numbered(16);
    const target = new Uint8Array(16);
    left.register(a, source);
    right.register(b, target);
    right.receive(b, spi.createOverlapped(1), target);
    const list = [{ len: 16, buf: source as Uint8Array | null }];
    const { procs, errno } = left;
    procs.lpWSPSend(a, list, 1, null, 0, spi.createOverlapped(1), NO_ROUTINE, null, errno);
    list[0] = { len: 3, buf: null };
    settle(left, right);
    expect(target).toEqual(source);
    shutDown(left, right);
  });

  it('leave the byte count alone while pending [WSPSEND-06 WSPSEND-18 IMPL-02 W7.6]', () => {
    const { left, right, a } = connectedPair({ profile });
    const buffer = numbered(8);
    left.register(a, buffer);
    const sent = spi.ref(-5);
    const list = [{ len: 8, buf: buffer }];
    const { procs, errno } = left;
    const overlapped = spi.createOverlapped(1);
    expect(procs.lpWSPSend(a, list, 1, sent, 0, overlapped, null, null, errno)).toBe(-1);
    expect([errno.value, sent.value]).toEqual([spi.WSA_IO_PENDING, -5]);
    expect(overlapped.Internal).toBe(spi.WSS_OPERATION_IN_PROGRESS);
    shutDown(left, right);
  });

  it('find the registration by address, with the right that the direction needs [WSPSEND-02 WSPSEND-12 IMPL-03 MEM-06 W7.4]', () => {
    const { left, right, a } = connectedPair({ profile });
    const memory = new Uint8Array(256);
    const attempt = (direction: 'send' | 'receive', buffer: Uint8Array): number => {
      left[direction](a, spi.createOverlapped(1), buffer);
      return left.errno.value;
    };
    expect(attempt('send', memory)).toBe(spi.WSAEFAULT);
    left.register(a, memory.subarray(64, 128), spi.MEM_READ);
    left.register(a, memory.subarray(128, 192), spi.MEM_WRITE);
    expect(attempt('send', memory.subarray(64, 128))).toBe(spi.WSA_IO_PENDING);
    expect(attempt('send', memory.subarray(63, 70))).toBe(spi.WSAEFAULT);
    expect(attempt('send', memory.subarray(120, 129))).toBe(spi.WSAEFAULT);
    expect(attempt('receive', memory.subarray(64, 128))).toBe(spi.WSAEFAULT);
    expect(attempt('receive', memory.subarray(130, 190))).toBe(spi.WSA_IO_PENDING);
    expect(attempt('send', memory.subarray(130, 190))).toBe(spi.WSAEFAULT);
    shutDown(left, right);
  });

  it('refuse a buffer whose memory was detached or deregistered, though used before', () => {
    const { left, right, a } = connectedPair({ profile });
    const memory = new Uint8Array(64);
    const handle = left.register(a, memory);
    const send = (): number => {
      left.send(a, spi.createOverlapped(1), memory);
      return left.errno.value;
    };
    const other = new Uint8Array(64);
    left.register(a, other);
    left.receive(a, spi.createOverlapped(1), other);
    expect(left.extensions.WSPDeregisterMemory(a, handle, left.errno)).toBe(0);
    expect(send()).toBe(spi.WSAEFAULT);
    left.register(a, memory);
    expect(send()).toBe(spi.WSA_IO_PENDING);
    structuredClone(memory.buffer, { transfer: [memory.buffer] });
    left.procs.lpWSPSend(
      a,
      [{ len: 64, buf: memory }],
      1,
      null,
      0,
      spi.createOverlapped(1),
      null,
      null,
      left.errno,
    );
    expect(left.errno.value).toBe(spi.WSAEFAULT);
    shutDown(left, right);
  });

  it('ask the NIC for the address of a buffer once, not at every call', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const count = profile.receiveQueueDepth ?? 12;
    const buffers = Array.from({ length: Math.min(count, 12) }, () => new Uint8Array(8));
    const message = new Uint8Array(8);
    right.register(b, message);
    for (const buffer of buffers) left.register(a, buffer);
    const round = (): void => {
      for (const buffer of buffers) left.receive(a, spi.createOverlapped(1), buffer);
      for (let sent = 0; sent < buffers.length; sent++) {
        right.send(b, spi.createOverlapped(1), message);
        settle(left, right);
      }
    };
    round();
    const before = left.nic.lookups;
    round();
    round();
    expect(left.nic.lookups).toBe(before);
    shutDown(left, right);
  });

  it('name what is wrong with the socket [WSPSEND-12 WSPSEND-19 WSPRECV-05 W7.11]', () => {
    const { left, right, listener } = connectedPair({ profile });
    const overlapped = spi.createOverlapped(1);
    const buffer = new Uint8Array(8);
    for (const direction of ['send', 'receive'] as const) {
      left[direction](left.socket(), overlapped, buffer);
      expect(left.errno.value).toBe(spi.WSAEINVAL);
      left[direction](left.bound(LEFT_PORT + 1), overlapped, buffer);
      expect(left.errno.value).toBe(spi.WSAENOTCONN);
      right[direction](listener, overlapped, buffer);
      expect(right.errno.value).toBe(spi.WSAENOTCONN);
    }
    shutDown(left, right);
  });

  it('refuse flags, routines and calls that are not overlapped [WSPSEND-05 WSPSEND-12 WSPSEND-17 WSPRECV-02 OVL-02 SPI-07 W7.3]', () => {
    const { left, right, a } = connectedPair({ profile });
    const buffer = new Uint8Array(8);
    left.register(a, buffer);
    const list = [{ len: 8, buf: buffer }];
    const overlapped = spi.createOverlapped(1);
    const { procs, errno } = left;
    const routine = (): void => undefined;
    const flags = spi.ref(spi.MSG_PEEK);
    for (const call of [
      () => procs.lpWSPSend(a, list, 1, null, spi.MSG_OOB, overlapped, null, null, errno),
      () => procs.lpWSPSend(a, list, 1, null, 0, null, null, null, errno),
      () => procs.lpWSPSend(a, list, 1, null, 0, overlapped, routine, null, errno),
      () => procs.lpWSPRecv(a, list, 1, null, flags, overlapped, null, null, errno),
      () => procs.lpWSPRecv(a, list, 1, null, null, null, null, null, errno),
      () => procs.lpWSPRecv(a, list, 1, null, null, overlapped, routine, null, errno),
    ]) {
      errno.value = 0;
      expect([call(), errno.value]).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL]);
    }
    expect(overlapped.Internal).toBe(0);
    for (const call of [
      () => procs.lpWSPSend(a, null, 1, null, 0, overlapped, null, null, errno),
      () => procs.lpWSPSend(a, list, 2, null, 0, overlapped, null, null, errno),
    ]) {
      expect([call(), errno.value]).toEqual([spi.SOCKET_ERROR, spi.WSAEFAULT]);
    }
    shutDown(left, right);
  });

  it('start nothing when the queue is full: WSAENOBUFS, or what the profile says [WSPSEND-20 OVL-16 IMPL-01 W7.10]', () => {
    const { left, right, a } = connectedPair({ profile });
    const depth = profile.sendQueueDepth ?? 64;
    const error = profile.sendQueueFullError;
    const buffer = new Uint8Array(8);
    const handle = left.register(a, buffer);
    left.nic.isHalted = true;
    for (let posted = 0; posted < depth; posted++) {
      left.send(a, spi.createOverlapped(1), buffer);
      expect(left.errno.value).toBe(spi.WSA_IO_PENDING);
    }
    const refused = spi.createOverlapped(1);
    left.send(a, refused, buffer);
    expect([left.errno.value, refused.Internal]).toEqual([error, 0]);
    expect(left.extensions.WSPDeregisterMemory(a, handle, left.errno)).toBe(spi.SOCKET_ERROR);
    shutDown(left, right);
  });

  it('take SO_MAX_MSG_SIZE bytes and not one more: WSAEINVAL, for WSAEMSGSIZE is no answer of a SAN provider [WSPSEND-10 OPT-03 W7.5]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const { maxMessageSize } = left.provider.capabilities;
    const most = maxMessageSize ?? 0;
    const buffer = new Uint8Array(most + 1);
    left.register(a, buffer);
    right.register(b, buffer);
    const refused = spi.createOverlapped(1);
    expect(left.send(a, refused, buffer)).toBe(spi.SOCKET_ERROR);
    expect([left.errno.value, refused.Internal]).toEqual([spi.WSAEINVAL, 0]);
    const received = spi.createOverlapped(1);
    right.receive(b, received, buffer.subarray(0, most));
    left.send(a, spi.createOverlapped(1), buffer.subarray(0, most - 5), buffer.subarray(0, 5));
    settle(left, right);
    expect(right.result(b, received)).toEqual([most, 0]);
    shutDown(left, right);
  });

  it('carry a message without bytes', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const received = spi.createOverlapped(1);
    right.receive(b, received);
    left.send(a, spi.createOverlapped(1), new Uint8Array(0));
    settle(left, right);
    expect(right.result(b, received)).toEqual([0, 0]);
    shutDown(left, right);
  });
});

underEveryProfile('WSPRdmaWrite and WSPRdmaRead', (profile) => {
  it('move bytes between local buffers and a range of the peer [RDMA-01 RDMA-02 RDMA-03 RDMA-04 RDMA-05]', () => {
    const pair = rdmaPair(profile);
    const { left, right, a, local, remote, handle } = pair;
    const parts = [local.subarray(32, 64), local.subarray(0, 8)];
    const list = parts.map((buf) => ({ len: buf.length, buf, handle }));
    const written = spi.createOverlapped(1);
    expect(rdma(pair, { list, offset: 80, overlapped: written })).toBe(spi.WSA_IO_PENDING);
    settle(left, right);
    expect(left.result(a, written)).toEqual([40, 0]);
    expect([...remote.subarray(80, 120)]).toEqual([...local.subarray(32), ...local.subarray(0, 8)]);
    expect(remote.subarray(0, 80).every((byte) => byte === 0xee)).toBe(true);
    expect(remote.subarray(120).every((byte) => byte === 0xee)).toBe(true);
    expect(right.upcalls.calls).toEqual([]);
    const read = spi.createOverlapped(1);
    const into = [{ len: 16, buf: local.subarray(16, 32), handle }];
    expect(rdma(pair, { read: true, list: into, offset: 60, overlapped: read })).toBe(
      spi.WSA_IO_PENDING,
    );
    settle(left, right);
    expect(left.result(a, read)).toEqual([16, 0]);
    expect(local.subarray(16, 32).every((byte) => byte === 0xee)).toBe(true);
    shutDown(left, right);
  });

  it('refuse counts, handles, descriptors and ranges that cannot be [RDMA-02 RDMA-08 RDMA-10]', () => {
    const pair = rdmaPair(profile);
    const { left, right, local, handle, target } = pair;
    const all = { len: 64, buf: local, handle };
    expect(rdma(pair, { list: [] })).toBe(spi.WSAEINVAL);
    expect(rdma(pair, { list: Array.from({ length: 7 }, () => all) })).toBe(spi.WSAEINVAL);
    expect(rdma(pair, { list: [{ ...all, handle: handle ^ 1 }] })).toBe(spi.WSAEINVAL);
    expect(rdma(pair, { list: [{ ...all, len: 65 }] })).toBe(spi.WSAEFAULT);
    expect(rdma(pair, { list: [{ ...all, buf: new Uint8Array(64) }] })).toBe(spi.WSAEFAULT);
    expect(rdma(pair, { length: 31 })).toBe(spi.WSAEINVAL);
    expect(rdma(pair, { target: target.subarray(1), length: 32 })).toBe(spi.WSAEINVAL);
    expect(rdma(pair, { target: null })).toBe(spi.WSAEFAULT);
    expect(rdma(pair, { offset: 65 })).toBe(spi.WSAEINVAL);
    expect(rdma(pair, { offset: 64 })).toBe(spi.WSA_IO_PENDING);
    expect(rdma(pair, { overlapped: null })).toBe(spi.WSAEINVAL);
    shutDown(left, right);
  });

  it('take SO_MAX_RDMA_SIZE bytes and not one more [RDMA-06 OPT-04]', () => {
    const pair = rdmaPair(profile);
    const { left, right, a, b } = pair;
    const most = left.provider.capabilities.maxRdmaSize ?? 0;
    const local = new Uint8Array(most + 1);
    const handle = left.register(a, local);
    const target = right.expose(b, new Uint8Array(most + 1));
    const list = (len: number) => [{ len, buf: local, handle }];
    expect(rdma(pair, { list: list(most + 1), target })).toBe(spi.WSAEINVAL);
    expect(rdma(pair, { list: list(most), target, offset: 1 })).toBe(spi.WSA_IO_PENDING);
    settle(left, right);
    shutDown(left, right);
  });

  it('need the local right of their direction [MEM-06 RDMA-10]', () => {
    const writable = rdmaPair(profile, spi.MEM_WRITE);
    expect(rdma(writable)).toBe(spi.WSAEFAULT);
    expect(rdma(writable, { read: true })).toBe(spi.WSA_IO_PENDING);
    shutDown(writable.left, writable.right);
    const readable = rdmaPair(profile, spi.MEM_READ);
    expect(rdma(readable, { read: true })).toBe(spi.WSAEFAULT);
    expect(rdma(readable)).toBe(spi.WSA_IO_PENDING);
    shutDown(readable.left, readable.right);
  });

  it('are not overtaken by a send: it is fenced behind a read in progress [RDMA-09 W14.18]', () => {
    const pair = rdmaPair({ ...profile, sendQueueDepth: null });
    const { left, right, a, b, local } = pair;
    const target = new Uint8Array(64);
    right.register(b, target);
    right.receive(b, spi.createOverlapped(1), target);
    right.receive(b, spi.createOverlapped(1), target);
    rdma(pair, { read: true });
    left.send(a, spi.createOverlapped(1), local);
    settle(left, right);
    left.send(a, spi.createOverlapped(1), local);
    const posted = left.nic.posted.map(({ opcode, flags }) => [opcode, flags]);
    expect(posted).toEqual([
      [Opcode.RDMA_READ, 0],
      [Opcode.SEND, SendFlag.FENCE],
      [Opcode.SEND, 0],
    ]);
    shutDown(left, right);
  });

  it('give dwFlags back as the result flags [RDMA-08]', () => {
    const pair = rdmaPair(profile);
    const { left, right, a } = pair;
    const overlapped = spi.createOverlapped(1);
    rdma(pair, { flags: 0x40, overlapped });
    settle(left, right);
    const flags = spi.ref(0);
    const { procs, errno } = left;
    procs.lpWSPGetOverlappedResult(a, overlapped, spi.ref(0), false, flags, errno);
    expect(flags.value).toBe(0x40);
    shutDown(left, right);
  });

  it('refuse a socket without a connection, and one whose connection is over [CLOSE-07 RDMA-08]', () => {
    const pair = rdmaPair(profile);
    const { left, right } = pair;
    expect(rdma({ ...pair, a: left.bound(7) })).toBe(spi.WSAENOTCONN);
    expect(rdma({ ...pair, a: left.bound(8) }, { read: true })).toBe(spi.WSAENOTCONN);
    // One that is over says how it ended.
    right.close(pair.b);
    settle(left, right);
    for (const read of [false, true]) expect(rdma(pair, { read })).toBe(spi.WSAECONNRESET);
    shutDown(left, right);
  });
});

describe('completing at once', () => {
  const profile = spi.PROFILES.documented;

  it('returns 0 with the count, fills the structure, and notifies nobody [WSPSEND-06 W7.6]', () => {
    const { left, right, a, b } = connectedPair({ profile, provider: { completion: 'immediate' } });
    const buffer = numbered(8);
    const target = new Uint8Array(8);
    left.register(a, buffer);
    right.register(b, target);
    const received = spi.createOverlapped(8);
    expect(right.receive(b, received, target)).toBe(spi.SOCKET_ERROR);
    const sent = spi.ref(0);
    const overlapped = spi.createOverlapped(8);
    const { procs, errno } = left;
    const list = [{ len: 8, buf: buffer }];
    expect(procs.lpWSPSend(a, list, 1, sent, 0, overlapped, null, null, errno)).toBe(0);
    expect(sent.value).toBe(8);
    settle(left, right);
    expect(left.upcalls.calls).toEqual([]);
    expect(left.result(a, overlapped)).toEqual([8, 0]);
    expect(right.upcalls.completions()).toMatchObject([{ overlapped: received, bytes: 8 }]);
    shutDown(left, right);
  });

  it('never notifies anybody of another operation from inside the posting call [OVL-03]', () => {
    const { left, right, a, b } = connectedPair({ profile, provider: { completion: 'immediate' } });
    const buffer = numbered(8);
    left.register(a, buffer);
    right.register(b, buffer);
    const first = spi.createOverlapped(8);
    expect(left.send(a, first, buffer)).toBe(spi.SOCKET_ERROR);
    right.receive(b, spi.createOverlapped(1), buffer);
    right.receive(b, spi.createOverlapped(1), buffer);
    expect(left.send(a, spi.createOverlapped(8), buffer)).toBe(0);
    expect(left.upcalls.calls).toEqual([]);
    settle(left, right);
    expect(left.upcalls.completions()).toMatchObject([{ overlapped: first, bytes: 8, error: 0 }]);
    shutDown(left, right);
  });

  it('does not happen in a profile that wants all pending', () => {
    const profile = spi.PROFILES.hostile;
    const { left, right, a, b } = connectedPair({ profile, provider: { completion: 'immediate' } });
    const buffer = numbered(8);
    left.register(a, buffer);
    right.register(b, buffer);
    right.receive(b, spi.createOverlapped(1), buffer);
    expect(left.send(a, spi.createOverlapped(1), buffer)).toBe(spi.SOCKET_ERROR);
    expect(left.errno.value).toBe(spi.WSA_IO_PENDING);
    shutDown(left, right);
  });
});
