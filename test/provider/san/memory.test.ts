// Registering memory for this end and for the peer.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { connectedPair, settle, shutDown, underEveryProfile } from './harness.js';
import type { Pair } from './harness.js';

underEveryProfile('WSPRegisterMemory', (profile) => {
  it('refuses bad flags, bad buffers, and sockets without a connection [REGMEM-04 REGMEM-05]', () => {
    const { left, right, a } = connectedPair({ profile });
    const { extensions, errno } = left;
    const memory = new Uint8Array(64);
    const attempt = (s: number, buffer: Uint8Array | null, length: number, flags: number) => {
      expect(extensions.WSPRegisterMemory(s, buffer, length, flags, errno)).toBe(0);
      return errno.value;
    };
    expect(attempt(a, memory, 64, 0)).toBe(spi.WSAEINVAL);
    expect(attempt(a, memory, 64, 4)).toBe(spi.WSAEINVAL);
    expect(attempt(a, null, 64, spi.MEM_READ)).toBe(spi.WSAEFAULT);
    expect(attempt(a, memory, 65, spi.MEM_READ)).toBe(spi.WSAEFAULT);
    expect(attempt(a, memory, 0, spi.MEM_READ)).toBe(spi.WSAEFAULT);
    expect(attempt(left.bound(9), memory, 64, spi.MEM_READ)).toBe(spi.WSAENOTCONN);
    left.nic.registrationFailure = 'no-resources';
    expect(attempt(a, memory, 64, spi.MEM_READ)).toBe(spi.WSAENOBUFS);
    left.nic.registrationFailure = null;
    shutDown(left, right);
  });

  it('again for the same memory counts, or gives a handle of its own: each is ended once [REGMEM-03 DEREGMEM-01]', () => {
    const { left, right, a } = connectedPair({ profile, provider: { registrationCache: false } });
    const memory = new Uint8Array(64);
    const isCounted = profile.repeatedRegistration === 'counted';
    const one = left.register(a, memory);
    const other = left.register(a, memory.subarray(0));
    expect(one === other).toBe(isCounted);
    expect(left.register(a, memory, spi.MEM_READ)).not.toBe(one);
    expect(left.nic.regionCount).toBe(isCounted ? 2 : 3);
    const end = (handle: number) => left.extensions.WSPDeregisterMemory(a, handle, left.errno);
    expect([end(one), end(other)]).toEqual([0, 0]);
    expect(left.nic.regionCount).toBe(1);
    for (const handle of [one, other]) {
      expect([end(handle), left.errno.value]).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL]);
    }
    shutDown(left, right);
  });

  it('gives handles that mean nothing on another socket, of this host or another [REGMEM-02 DEREGMEM-01 DEREGMEM-02]', () => {
    const { left, right, a, b, listener } = connectedPair({ profile });
    const other = left.bound(40002);
    left.connect(other, right.ip, 5001);
    settle(left, right);
    expect(right.accept(listener)).not.toBe(spi.INVALID_SOCKET);
    settle(left, right);
    const handle = left.register(a, new Uint8Array(64));
    for (const [host, s] of [
      [right, b],
      [left, other],
    ] as const) {
      expect(host.extensions.WSPDeregisterMemory(s, handle, host.errno)).toBe(spi.SOCKET_ERROR);
      expect(host.errno.value).toBe(spi.WSAEINVAL);
    }
    // And means there what it meant.
    expect(left.extensions.WSPDeregisterMemory(a, handle, left.errno)).toBe(0);
    shutDown(left, right);
  });

  it('is not undone while a transfer uses the memory [DEREGMEM-02 MEM-09]', () => {
    const { left, right, a, b } = connectedPair({ profile });
    const memory = new Uint8Array(64);
    const handle = left.register(a, memory);
    const overlapped = spi.createOverlapped(1);
    left.receive(a, overlapped, memory);
    expect(left.extensions.WSPDeregisterMemory(a, handle, left.errno)).toBe(spi.SOCKET_ERROR);
    expect(left.errno.value).toBe(spi.WSAEINVAL);
    const message = new Uint8Array(8);
    right.register(b, message);
    right.send(b, spi.createOverlapped(1), message);
    settle(left, right);
    expect(left.result(a, overlapped)).toEqual([8, 0]);
    expect(left.extensions.WSPDeregisterMemory(a, handle, left.errno)).toBe(0);
    shutDown(left, right);
  });
});

underEveryProfile('WSPRegisterRdmaMemory', (profile) => {
  it('answers the length probe before it looks at anything else [REGRDMA-03 REGRDMA-04]', () => {
    const { left, right, a } = connectedPair({ profile });
    const { extensions, errno } = left;
    const probe = (block: Uint8Array | null, room: number): [number, number, number] => {
      const length = spi.ref(room);
      errno.value = 0;
      const result = extensions.WSPRegisterRdmaMemory(a, null, 0, 99, block, length, errno);
      return [result, errno.value, length.value];
    };
    expect(probe(null, 0)).toEqual([spi.SOCKET_ERROR, spi.WSAEFAULT, 32]);
    expect(probe(new Uint8Array(31), 31)).toEqual([spi.SOCKET_ERROR, spi.WSAEFAULT, 32]);
    expect(probe(new Uint8Array(31), 64)).toEqual([spi.SOCKET_ERROR, spi.WSAEFAULT, 32]);
    expect(probe(new Uint8Array(32), 32)).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL, 32]);
    shutDown(left, right);
  });

  it('counts like the local registration, and means nothing elsewhere [DEREGRDMA-01 REGRDMA-06 REGRDMA-07]', () => {
    const options = { profile, provider: { registrationCache: false } } as const;
    const { left, right, a, b } = connectedPair(options);
    const memory = new Uint8Array(64);
    const descriptor = left.expose(a, memory);
    const second = left.expose(a, memory);
    if (profile.repeatedRegistration === 'counted') expect(second).toEqual(descriptor);
    else expect(second).not.toEqual(descriptor);
    const deregister = (block: Uint8Array | null, length = 32): [number, number] => {
      left.errno.value = 0;
      const { extensions, errno } = left;
      const result = extensions.WSPDeregisterRdmaMemory(a, block, length, errno);
      return [result, errno.value];
    };
    const other = right.extensions.WSPDeregisterRdmaMemory(b, descriptor, 32, right.errno);
    expect([other, right.errno.value]).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL]);
    const forged = descriptor.slice();
    forged[31] = (forged[31] ?? 0) ^ 1;
    for (const [block, length] of [
      [forged, 32],
      [descriptor, 31],
      [null, 32],
    ] as const) {
      expect(deregister(block, length)).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL]);
    }
    expect([deregister(second), left.nic.regionCount]).toEqual([[0, 0], 1]);
    expect([deregister(descriptor), left.nic.regionCount]).toEqual([[0, 0], 0]);
    expect(deregister(descriptor)).toEqual([spi.SOCKET_ERROR, spi.WSAEINVAL]);
    shutDown(left, right);
  });

  it('refuses the same things as the local registration [REGRDMA-01 REGRDMA-05]', () => {
    const { left, right, a } = connectedPair({ profile });
    const { extensions, errno } = left;
    const block = new Uint8Array(32);
    const memory = new Uint8Array(64);
    const attempt = (s: number, buffer: Uint8Array | null, flags: number): number => {
      errno.value = 0;
      extensions.WSPRegisterRdmaMemory(s, buffer, 64, flags, block, spi.ref(32), errno);
      return errno.value;
    };
    expect(attempt(a, memory, 8)).toBe(spi.WSAEINVAL);
    expect(attempt(a, null, spi.MEM_READ)).toBe(spi.WSAEFAULT);
    expect(attempt(left.bound(9), memory, spi.MEM_READ)).toBe(spi.WSAENOTCONN);
    left.nic.registrationFailure = 'no-resources';
    expect(attempt(a, memory, spi.MEM_READ)).toBe(spi.WSAENOBUFS);
    left.nic.registrationFailure = null;
    shutDown(left, right);
  });
});

underEveryProfile('what RDMA reaches', (profile) => {
  interface Rdma extends Pair {
    readonly local: Uint8Array;
    readonly remote: Uint8Array;
    readonly handle: number;
  }

  function rdmaPair(): Rdma {
    const pair = connectedPair({ profile });
    const local = Uint8Array.from({ length: 64 }, (_, index) => index);
    return {
      ...pair,
      local,
      remote: new Uint8Array(64),
      handle: pair.left.register(pair.a, local),
    };
  }

  function write({ left, right, a, local, handle }: Rdma, target: Uint8Array): [number, number] {
    const overlapped = spi.createOverlapped(1);
    const list = [{ len: 64, buf: local, handle }];
    const { extensions, errno } = left;
    extensions.WSPRdmaWrite(a, list, 1, target, 32, 0, null, 0, overlapped, null, null, errno);
    settle(left, right);
    return left.result(a, overlapped);
  }

  it('is only what was exposed for writing [MEM-04 MEM-06 RDMA-10]', () => {
    const rdma = rdmaPair();
    const target = rdma.right.expose(rdma.b, rdma.remote, spi.MEM_READ);
    expect(write(rdma, target)).toEqual([-1, spi.WSAECONNABORTED]);
    expect(rdma.remote.every((byte) => byte === 0)).toBe(true);
    shutDown(rdma.left, rdma.right);
  });

  it('is nothing any more after deregistration [DEREGRDMA-02 MEM-05]', () => {
    const rdma = rdmaPair();
    const { right, b, remote } = rdma;
    const target = right.expose(b, remote, spi.MEM_WRITE);
    expect(write(rdma, target)).toEqual([64, 0]);
    expect(remote).toEqual(rdma.local);
    right.extensions.WSPDeregisterRdmaMemory(b, target, 32, right.errno);
    remote.fill(0);
    expect(write(rdma, target)).toEqual([-1, spi.WSAECONNABORTED]);
    expect(remote.every((byte) => byte === 0)).toBe(true);
    shutDown(rdma.left, rdma.right);
  });
});
