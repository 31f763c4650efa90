// The short ways of the provider over an inline engine: a small send that is polled for leaves in its
// call, and a small message that has come goes into its receive past the completion queue. Nobody can
// tell but by the clock: order, outcomes and errors are those of the long way.

import { expect, it } from 'vitest';
import { Prng } from '../../../runtime/prng.js';
import { SanSocket } from '../../../provider/san/record.js';
import { RegisteredBuffers } from '../../../provider/san/registered-buffers.js';
import { Registration } from '../../../provider/san/registration.js';
import type { QueuePair } from '../../../provider/nic/device.js';
import { PROFILES } from '../../../provider/spi/profile.js';
import * as spi from '../../../provider/spi/index.js';
import { PATIENCE_NANOS } from '../../../bench/endpoint.js';
import { Deadline } from '../../../bench/measure.js';
import { newFabric } from '../../integration/fixture.js';
import type { RawEnd } from '../../integration/children/raw-pair.js';
import { openRawPair } from '../../integration/children/raw-pair.js';

const SUPPRESSED_EVENT = 5;
const BLOCK_BYTES = 65_536;
const errno = spi.ref(0);
const bytes = spi.ref(0);
const flags = spi.ref(0);

/** An end with a registered block, which sends from and receives into parts of it. */
class End {
  readonly #end: RawEnd;
  /** One turn of this end's NIC, and of nothing else. */
  readonly turn = (): number => this.#end.raw.environment.environment.nic.progress();
  readonly memory: Uint8Array;

  constructor(end: RawEnd) {
    this.#end = end;
    const { raw, socket } = end;
    this.memory = raw.environment.memory.VirtualAlloc(BLOCK_BYTES) ?? new Uint8Array();
    const { WSPRegisterMemory } = raw.extensions;
    const handle = WSPRegisterMemory(socket, this.memory, BLOCK_BYTES, spi.MEM_READWRITE, errno);
    expect(handle).not.toBe(0);
  }

  /** Sends `length` bytes at `at`; what the call came to is in errno. */
  send(at: number, length: number, hEvent = SUPPRESSED_EVENT): spi.WSAOVERLAPPED {
    const overlapped = spi.createOverlapped(hEvent);
    const buffers = [{ len: length, buf: this.memory.subarray(at, at + length) }];
    const { table } = this.#end.raw;
    const { socket } = this.#end;
    expect(table.lpWSPSend(socket, buffers, 1, bytes, 0, overlapped, null, null, errno)).toBe(
      spi.SOCKET_ERROR,
    );
    expect(errno.value).toBe(spi.WSA_IO_PENDING);
    return overlapped;
  }

  receive(at: number, length: number, hEvent = SUPPRESSED_EVENT): spi.WSAOVERLAPPED {
    const overlapped = spi.createOverlapped(hEvent);
    const buffers = [{ len: length, buf: this.memory.subarray(at, at + length) }];
    const { table } = this.#end.raw;
    const { socket } = this.#end;
    flags.value = 0;
    table.lpWSPRecv(socket, buffers, 1, bytes, flags, overlapped, null, null, errno);
    expect(errno.value).toBe(spi.WSA_IO_PENDING);
    return overlapped;
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

  /** An event that the upcall for an operation sets. */
  newEvent(): number {
    return this.#end.raw.upcalls.newEvent();
  }

  isSet(event: number): boolean {
    return this.#end.raw.upcalls.isSet(event);
  }

  close(): void {
    this.#end.raw.table.lpWSPCloseSocket(this.#end.socket, errno);
  }

  /** Polls until the operation has failed, while nobody else drives this end; the error. */
  failure(overlapped: spi.WSAOVERLAPPED, meanwhile: () => void): number {
    const { raw, socket } = this.#end;
    const { lpWSPGetOverlappedResult } = raw.table;
    const patience = new Deadline(PATIENCE_NANOS, 'the failure');
    for (;;) {
      const isDone = lpWSPGetOverlappedResult(socket, overlapped, bytes, false, flags, errno);
      if (!isDone && errno.value !== spi.WSA_IO_INCOMPLETE) return errno.value;
      expect(isDone).toBe(false);
      meanwhile();
      patience.check();
    }
  }

  /** Waits in the thread's loop. */
  finish(overlapped: spi.WSAOVERLAPPED): number {
    this.#end.raw.wait(() => this.poll(overlapped) >= 0, 'an operation');
    return bytes.value;
  }
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

it('a small polled send is pending like any other and has ended, and one look finds its message [OVL-05 WSPSEND-07]', async () => {
  await withEnds((a, b) => {
    const received = b.receive(0, 64);
    a.memory.fill(7, 0, 64);
    const sent = a.send(0, 64);
    // Its bytes have left: the buffer is the caller's again.
    a.memory.fill(9, 0, 64);
    expect([sent.Internal, sent.InternalHigh]).toEqual([0, 64]);
    expect(a.poll(sent)).toBe(64);
    expect(b.poll(received)).toBe(64);
    expect(b.memory.subarray(0, 64).every((byte) => byte === 7)).toBe(true);
  });
});

it('the look that finds a message tells whoever is to be told of its receive, and of no other [OVL-06 OVL-09]', async () => {
  await withEnds((a, b) => {
    const events = [b.newEvent(), b.newEvent()];
    const told = (): boolean[] => events.map((event) => b.isSet(event));
    const receives = events.map((event, index) => b.receive(index * 64, 64, event));
    const [first, second] = receives as [spi.WSAOVERLAPPED, spi.WSAOVERLAPPED];
    a.send(0, 64);
    expect(b.poll(first)).toBe(64);
    expect(told()).toEqual([true, false]);
    a.send(0, 24);
    a.close();
    expect(b.poll(second)).toBe(24);
    expect(told()).toEqual([true, true]);
  });
});

it('long and short sends, polled and announced, arrive in the order of their calls [WSPSEND-04]', async () => {
  await withEnds((a, b) => {
    const lengths = [8, 4_096, 16, 97, 96, 5];
    const at = (index: number): number => index * 8_192;
    const receives = lengths.map((length, index) => b.receive(at(index), length));
    lengths.forEach((length, index) => {
      a.memory.fill(index + 1, at(index), at(index) + length);
      a.send(at(index), length, index === 4 ? 0 : SUPPRESSED_EVENT);
    });
    receives.forEach((receive, index) => {
      expect(b.finish(receive)).toBe(lengths[index]);
      expect(b.memory[at(index)]).toBe(index + 1);
    });
  });
});

it('more small messages than the ring of slots holds all arrive [WSPSEND-11]', async () => {
  await withEnds((a, b) => {
    for (let message = 0; message < 300; message++) {
      const received = b.receive(0, 8);
      a.memory[0] = message & 0xff;
      a.send(0, 8);
      expect(b.finish(received)).toBe(8);
      expect(b.memory[0]).toBe(message & 0xff);
    }
    // Nobody receives these: the sender is not told so, and no send is lost or refused.
    const sent = Array.from({ length: 32 }, () => a.send(0, 8));
    for (const one of sent) expect(a.poll(one)).toBe(8);
    for (let message = 0; message < 32; message++) expect(b.finish(b.receive(0, 8))).toBe(8);
  });
});

it('whoever does nothing but poll one receive learns that the peer has gone [CLOSE-07]', async () => {
  await withEnds((a, b) => {
    const received = b.receive(0, 64);
    for (let look = 0; look < 1_000; look++) expect(b.poll(received)).toBe(-1);
    a.close();
    expect(b.failure(received, a.turn)).toBe(spi.WSAECONNRESET);
  });
});

it('a message for an earlier receive ends that one, whichever of the two is asked about [OVL-05]', async () => {
  await withEnds((a, b) => {
    const [first, second] = [b.receive(0, 64), b.receive(64, 64)];
    a.send(0, 24);
    expect(b.poll(second)).toBe(-1);
    expect(first.Internal).toBe(0);
    expect(b.poll(first)).toBe(24);
    a.send(0, 32);
    expect(b.poll(second)).toBe(32);
  });
});

it('a socket offers its queue pair to transfers while it is connected, whichever it came to be first [WSPSEND-19 CLOSE-07]', () => {
  const pair = {} as QueuePair;
  for (const order of [['attach', 'connect'] as const, ['connect', 'attach'] as const]) {
    const socket = new SanSocket(1, 2, new Prng(1), PROFILES.documented);
    for (const step of order) {
      expect(socket.connectedPair).toBeNull();
      if (step === 'attach') socket.attach(pair);
      else socket.state = 'connected';
    }
    expect(socket.connectedPair).toBe(pair);
    socket.state = 'disconnected';
    expect(socket.connectedPair).toBeNull();
  }
});

it('as many buffers as a window of messages has are recognised without their addresses [IMPL-03]', () => {
  const memory = new Uint8Array(BLOCK_BYTES);
  const region = { address: 4_096, length: BLOCK_BYTES, access: 1, localKey: 5, remoteKey: 6 };
  const registration = new Registration({ remove: () => undefined }, 1, memory, 0, region);
  const registered = new RegisteredBuffers(new Prng(1), () => undefined);
  registered.add(registration);
  let asked = 0;
  const addressOf = (buffer: Uint8Array): number => {
    asked++;
    return region.address + buffer.byteOffset;
  };
  const buffers = Array.from({ length: 200 }, (_, at) => memory.subarray(64 * at, 64 * at + 64));
  for (let round = 0; round < 3; round++) {
    for (const [at, buffer] of buffers.entries()) {
      const found = registered.find(buffer, 64, { addressOf });
      expect(found?.address).toBe(region.address + 64 * at);
    }
  }
  expect(asked).toBe(buffers.length);
  registered.remove(registration);
  expect(registered.find(memory.subarray(0, 64), 64, { addressOf })).toBe(null);
  for (const buffer of buffers) expect(registered.find(buffer, 64, { addressOf })).toBe(null);
});
