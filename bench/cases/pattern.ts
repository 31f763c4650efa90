// pattern: the ways of sending that the shipped switch was slow at, each against the same messages sent
// plainly. The far side takes them as any stream. Source: field evidence, S20.

import * as spi from '../../provider/spi/index.js';
import type { Endpoint } from '../endpoint.js';
import { PATIENCE_NANOS } from '../endpoint.js';
import { AppEndpoint, must } from '../endpoint-app.js';
import { Deadline } from '../measure.js';
import type { CasePlan } from '../plan.js';
import type { Case } from './case.js';
import { streamCase } from './stream.js';

/** WSABUFs of one send. */
const BUFFERS_PER_SEND = 8;

export const patternCase: Case<unknown> = {
  async measure(opened, plan, slices) {
    const { endpoint } = opened;
    if (!(endpoint instanceof AppEndpoint))
      throw new TypeError('a pattern is an matter of applications');
    const sending = sendingIn(plan, endpoint);
    const replaced = { ...opened, endpoint: sending, endpoints: [sending] };
    return streamCase.measure(replaced, plan, slices);
  },
  verifyCost: (opened, plan) => streamCase.verifyCost(opened, plan),
  prepare: (endpoints, plan) => streamCase.prepare(endpoints, plan),
  serve: (prepared, endpoints, plan) =>
    (streamCase as Case<unknown>).serve(prepared, endpoints, plan),
};

/** The endpoint with another way of sending; 'large-after-small' is all in the sizes. */
function sendingIn(plan: CasePlan, endpoint: AppEndpoint): Endpoint {
  if (plan.plain || plan.pattern === 'large-after-small') return endpoint;
  return plan.pattern === 'many-buffers'
    ? new ManyBuffers(endpoint)
    : new NonblockingBetween(endpoint);
}

/** Everything but sending is left to the endpoint it stands for. */
abstract class Wrapped implements Endpoint {
  readonly slotBytes: number;
  readonly slotCount: number;
  readonly sendWords: Uint32Array;
  readonly receiveWords: Uint32Array;
  readonly descriptor: readonly number[] = [];
  protected readonly inner: AppEndpoint;

  constructor(inner: AppEndpoint) {
    this.inner = inner;
    this.slotBytes = inner.slotBytes;
    this.slotCount = inner.slotCount;
    this.sendWords = inner.sendWords;
    this.receiveWords = inner.receiveWords;
  }

  abstract startSend(slot: number, bytes: number): void;
  abstract awaitSend(slot: number): void;

  aim(): void {
    this.inner.aim();
  }
  startWrite(): void {
    this.inner.aim();
  }
  startRead(): void {
    this.inner.aim();
  }
  postReceive(slot: number, bytes: number): void {
    this.inner.postReceive(slot, bytes);
  }
  awaitReceive(slot: number): number {
    return this.inner.awaitReceive(slot);
  }
  drive(): void {
    this.inner.drive();
  }
  received(slot: number): Promise<number> {
    return this.inner.received(slot);
  }
  sent(slot: number): Promise<void> {
    return this.inner.sent(slot);
  }
  close(): Promise<void> {
    return this.inner.close();
  }
}

interface SplitSend {
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly buffers: readonly (spi.WSABUF & { readonly buf: Uint8Array })[];
}

/** A message in several WSABUFs. */
class ManyBuffers extends Wrapped {
  readonly #sends: readonly SplitSend[] = Array.from({ length: this.slotCount }, (_, slot) => ({
    overlapped: spi.createOverlapped(0),
    buffers: buffersOf(this.inner.sendMemory(slot)),
  }));
  readonly #bytes = spi.ref(0);
  readonly #flags = spi.ref(0);

  startSend(slot: number, bytes: number): void {
    const { winsock } = this.inner.host;
    const { overlapped, buffers } = this.#sends[slot] as SplitSend;
    let left = bytes;
    for (const buffer of buffers) {
      buffer.len = Math.min(buffer.buf.length, left);
      left -= buffer.len;
    }
    const { socket } = this.inner;
    const result = winsock.WSASend(socket, buffers, buffers.length, null, 0, overlapped, null);
    if (result !== 0 && winsock.WSAGetLastError() !== spi.WSA_IO_PENDING) {
      must(winsock, 'WSASend', result);
    }
  }

  awaitSend(slot: number): void {
    const { winsock } = this.inner.host;
    const { overlapped } = this.#sends[slot] as SplitSend;
    const deadline = new Deadline(PATIENCE_NANOS, 'WSASend');
    const { socket } = this.inner;
    while (!winsock.WSAGetOverlappedResult(socket, overlapped, this.#bytes, false, this.#flags)) {
      const error = winsock.WSAGetLastError();
      if (error !== spi.WSA_IO_INCOMPLETE) throw new spi.WsaError(error, { call: 'WSASend' });
      deadline.check();
    }
  }
}

function buffersOf(memory: Uint8Array): (spi.WSABUF & { buf: Uint8Array })[] {
  const piece = Math.ceil(memory.length / BUFFERS_PER_SEND / 4) * 4;
  return Array.from({ length: BUFFERS_PER_SEND }, (_, at) => {
    const buf = memory.subarray(at * piece, (at + 1) * piece);
    return { len: buf.length, buf };
  });
}

/** Every second message by a nonblocking send, between overlapped ones on the same socket. */
class NonblockingBetween extends Wrapped {
  readonly #isDone = new Uint8Array(this.slotCount);
  #count = 0;

  constructor(inner: AppEndpoint) {
    super(inner);
    const { winsock } = inner.host;
    must(winsock, 'ioctlsocket', winsock.ioctlsocket(inner.socket, spi.FIONBIO, spi.ref(1)));
  }

  startSend(slot: number, bytes: number): void {
    const isNonblocking = this.#count++ % 2 === 1;
    this.#isDone[slot] = isNonblocking ? 1 : 0;
    if (!isNonblocking) return this.inner.startSend(slot, bytes);
    const { winsock } = this.inner.host;
    const memory = this.inner.sendMemory(slot);
    const deadline = new Deadline(PATIENCE_NANOS, 'send');
    for (let sent = 0; sent < bytes; ) {
      const rest = sent === 0 ? memory : memory.subarray(sent);
      const count = winsock.send(this.inner.socket, rest, bytes - sent, 0);
      if (count !== spi.SOCKET_ERROR) {
        sent += count;
        continue;
      }
      const error = winsock.WSAGetLastError();
      if (error !== spi.WSAEWOULDBLOCK) throw new spi.WsaError(error, { call: 'send' });
      this.inner.host.progress();
      deadline.check();
    }
  }

  awaitSend(slot: number): void {
    if (this.#isDone[slot] === 0) this.inner.awaitSend(slot);
  }
}
