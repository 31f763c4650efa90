// The short way of small RDMA over inline engines: it needs no turn of the peer, and none of the caller's own
// when its outcome is polled for. Nobody can tell but by that: outcomes and errors are those of the long
// way. Below the provider: test/provider/nic/one-sided.test.ts.

import { expect, it } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { newFabric } from '../../integration/fixture.js';
import type { RawEnd } from '../../integration/children/raw-pair.js';
import { openRawPair } from '../../integration/children/raw-pair.js';

const SUPPRESSED_EVENT = 5;
const BLOCK_BYTES = 65_536;
const DESCRIPTOR_BYTES = 32;
const errno = spi.ref(0);
const bytes = spi.ref(0);
const flags = spi.ref(0);

/** An end with a block that is registered, and exposed to the other end. */
class End {
  readonly #end: RawEnd;
  readonly memory: Uint8Array;
  readonly handle: number;
  /** For the other end's RDMA: all of the block. */
  readonly descriptor = new Uint8Array(64);

  constructor(end: RawEnd) {
    this.#end = end;
    const { raw, socket } = end;
    this.memory = raw.environment.memory.VirtualAlloc(BLOCK_BYTES) ?? new Uint8Array();
    const { WSPRegisterMemory } = raw.extensions;
    const handle = WSPRegisterMemory(socket, this.memory, BLOCK_BYTES, spi.MEM_READWRITE, errno);
    expect(handle).not.toBe(0);
    this.handle = handle;
    this.expose(spi.MEM_READWRITE);
  }

  expose(rights: number): void {
    const length = spi.ref(this.descriptor.length);
    const { raw, socket } = this.#end;
    const { WSPRegisterRdmaMemory } = raw.extensions;
    const { descriptor, memory } = this;
    expect(
      WSPRegisterRdmaMemory(socket, memory, BLOCK_BYTES, rights, descriptor, length, errno),
    ).toBe(0);
    expect(length.value).toBe(DESCRIPTOR_BYTES);
  }

  /** Ends the exposure; what the call came to is in errno. */
  withdraw(): void {
    const { raw, socket } = this.#end;
    const { WSPDeregisterRdmaMemory } = raw.extensions;
    expect(WSPDeregisterRdmaMemory(socket, this.descriptor, DESCRIPTOR_BYTES, errno)).toBe(0);
  }

  /** RDMA between the same offsets of both blocks; what the call came to is in errno. */
  rdma(kind: 'write' | 'read', peer: End, plan: RdmaPlan): spi.WSAOVERLAPPED {
    const { at, length, handle = this.handle, target = at, hEvent = SUPPRESSED_EVENT } = plan;
    const overlapped = spi.createOverlapped(hEvent);
    const buffers = [{ len: length, buf: this.memory.subarray(at, at + length), handle }];
    const { raw, socket } = this.#end;
    const { WSPRdmaRead, WSPRdmaWrite } = raw.extensions;
    const call = kind === 'write' ? WSPRdmaWrite : WSPRdmaRead;
    const result = call?.(
      socket,
      buffers,
      1,
      peer.descriptor,
      DESCRIPTOR_BYTES,
      target,
      bytes,
      0,
      overlapped,
      null,
      null,
      errno,
    );
    expect(result).toBe(spi.SOCKET_ERROR);
    return overlapped;
  }

  /** Whether the event of an operation is set. */
  notified(event: number): boolean {
    return this.#end.raw.upcalls.isSet(event);
  }

  newEvent(): number {
    return this.#end.raw.upcalls.newEvent();
  }

  turn(): void {
    this.#end.raw.environment.progress.poll();
  }

  /** One look: the bytes, or -1 while it is under way. */
  poll(overlapped: spi.WSAOVERLAPPED): number {
    const { raw, socket } = this.#end;
    const { lpWSPGetOverlappedResult } = raw.table;
    if (lpWSPGetOverlappedResult(socket, overlapped, bytes, false, flags, errno)) {
      return bytes.value;
    }
    expect(errno.value).toBe(spi.WSA_IO_INCOMPLETE);
    return -1;
  }

  /** One look at something that may fail: its error, or 0. */
  look(overlapped: spi.WSAOVERLAPPED): number {
    const { raw, socket } = this.#end;
    const { lpWSPGetOverlappedResult } = raw.table;
    errno.value = 0;
    lpWSPGetOverlappedResult(socket, overlapped, bytes, false, flags, errno);
    return errno.value;
  }

  /** Waits in the thread's loop. */
  finish(overlapped: spi.WSAOVERLAPPED): number {
    this.#end.raw.wait(() => this.poll(overlapped) >= 0, 'an operation');
    return bytes.value;
  }
}

interface RdmaPlan {
  readonly at: number;
  readonly length: number;
  readonly handle?: number;
  readonly target?: number;
  readonly hEvent?: number;
}

async function withEnds(run: (a: End, b: End) => void): Promise<void> {
  const [a, b] = await openRawPair({ fabric: newFabric(), engine: 'inline' });
  try {
    run(new End(a), new End(b));
  } finally {
    for (const { raw, socket } of [a, b]) {
      raw.table.lpWSPCloseSocket(socket, errno);
      await raw.close();
    }
  }
}

it.each([4, 64, 96, 1000, 4096])(
  'a polled RDMA of %i bytes is pending like any other and has ended, without a turn of anybody [RDMA-01 RDMA-05 OVL-05]',
  async (length) => {
    await withEnds((a, b) => {
      a.memory.fill(7, 512, 512 + length);
      const written = a.rdma('write', b, { at: 512, length });
      expect(errno.value).toBe(spi.WSA_IO_PENDING);
      expect([written.Internal, written.InternalHigh]).toEqual([0, length]);
      expect(b.memory.subarray(512, 512 + length).every((byte) => byte === 7)).toBe(true);
      expect([b.memory[511], b.memory[512 + length]]).toEqual([0, 0]);
      b.memory.fill(8, 512, 512 + length);
      const read = a.rdma('read', b, { at: 512, length });
      expect([read.Internal, read.InternalHigh]).toEqual([0, length]);
      expect(a.memory.subarray(512, 512 + length).every((byte) => byte === 8)).toBe(true);
      expect([a.poll(written), a.poll(read)]).toEqual([length, length]);
    });
  },
);

it('a notified RDMA moves its bytes in the call and is announced afterwards [RDMA-05 OVL-06]', async () => {
  await withEnds((a, b) => {
    const event = a.newEvent();
    a.memory.fill(7, 0, 64);
    const written = a.rdma('write', b, { at: 0, length: 64, hEvent: event });
    expect(errno.value).toBe(spi.WSA_IO_PENDING);
    expect(b.memory[63]).toBe(7);
    expect([a.notified(event), written.Internal]).toEqual([false, spi.WSS_OPERATION_IN_PROGRESS]);
    expect(a.finish(written)).toBe(64);
    expect(a.notified(event)).toBe(true);
  });
});

it('small RDMA is refused for the reasons of any other: handle, range, right [RDMA-02 RDMA-10 MEM-06]', async () => {
  await withEnds((a, b) => {
    a.rdma('write', b, { at: 0, length: 64 });
    expect(errno.value).toBe(spi.WSA_IO_PENDING);
    a.memory.fill(7);
    a.rdma('write', b, { at: 0, length: 64, handle: a.handle + 1 });
    expect(errno.value).toBe(spi.WSAEINVAL);
    for (const target of [BLOCK_BYTES - 63, -1, NaN, 2 ** 32 + 4]) {
      a.rdma('write', b, { at: 0, length: 64, target });
      expect(errno.value).toBe(spi.WSAEINVAL);
    }
    expect(b.memory.every((byte) => byte === 0)).toBe(true);
  });
});

it('a write to memory that was withdrawn fails by its completion, and no byte moves [RDMA-10 DEREGRDMA-02]', async () => {
  await withEnds((a, b) => {
    a.rdma('write', b, { at: 0, length: 64 });
    b.withdraw();
    a.memory.fill(7);
    const late = a.rdma('write', b, { at: 0, length: 64 });
    expect(errno.value).toBe(spi.WSA_IO_PENDING);
    for (let turn = 0; turn < 1000 && late.Internal !== 0; turn++) {
      a.turn();
      a.look(late);
    }
    expect(a.look(late)).toBe(spi.WSAECONNABORTED);
    expect(b.memory.every((byte) => byte === 0)).toBe(true);
  });
});
