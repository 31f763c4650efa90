// A byte stream as an application may use it, at random, held against the simplest model: what one end
// has sent, in order, is what the other receives. Works on any two ends of one thread, whatever is under
// their Winsock functions; used with the fake provider and with whole hosts. Throws what is wrong.

import fc from 'fast-check';
import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import type { Winsock } from '../../switch/api/wsa.js';

type Side = 'a' | 'b';

export type Step =
  | { readonly kind: 'send'; readonly side: Side; readonly parts: readonly number[] }
  | { readonly kind: 'sendNow'; readonly side: Side; readonly length: number }
  | { readonly kind: 'urgent'; readonly side: Side; readonly length: number }
  | {
      readonly kind: 'receive';
      readonly side: Side;
      readonly parts: readonly number[];
      readonly waitAll: boolean;
    }
  | {
      readonly kind: 'receiveNow';
      readonly side: Side;
      readonly length: number;
      readonly peek: boolean;
    }
  | { readonly kind: 'shutdown'; readonly side: Side }
  | { readonly kind: 'turns'; readonly count: number };

export interface Plan {
  readonly steps: readonly Step[];
  /** Afterwards one side closes with whatever is under way; otherwise both streams end in order. */
  readonly abrupt: Side | null;
}

const side = fc.constantFrom<Side>('a', 'b');
const length = fc.oneof(
  fc.integer({ min: 1, max: 100 }),
  fc.integer({ min: 4_090, max: 4_110 }),
  fc.integer({ min: 1, max: 90_000 }),
);
const parts = fc.array(length, { minLength: 1, maxLength: 3 });
const of = <Kind extends string>(kind: Kind): fc.Arbitrary<Kind> => fc.constant(kind);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: of('send'), side, parts }) },
  { weight: 4, arbitrary: fc.record({ kind: of('sendNow'), side, length }) },
  { weight: 1, arbitrary: fc.record({ kind: of('urgent'), side, length }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: of('receive'), side, parts, waitAll: fc.boolean() }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ kind: of('receiveNow'), side, length, peek: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ kind: of('shutdown'), side }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: of('turns'), count: fc.integer({ min: 1, max: 30 }) }),
  },
);

export const plans: fc.Arbitrary<Plan> = fc.record({
  steps: fc.array(step, { maxLength: 40 }),
  abrupt: fc.option(side, { freq: 3 }),
});

/** What an operation that a close has ended may say. */
const CLOSE_ERRORS = [spi.WSA_OPERATION_ABORTED, spi.WSAECONNRESET, spi.WSAECONNABORTED];

interface Operation {
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly memory: Uint8Array;
}

class End {
  readonly #winsock: Winsock;
  readonly socket: number;
  readonly #random: Prng;
  /** What the model says this end has sent, and what it has received, in stream order. */
  readonly #sent: { readonly operation: Operation | null; readonly bytes: Uint8Array }[] = [];
  readonly #received: (Operation | Uint8Array)[] = [];
  readonly #sends: Operation[] = [];
  #isShut = false;

  constructor(winsock: Winsock, socket: number, seed: number) {
    this.#winsock = winsock;
    this.socket = socket;
    this.#random = new Prng(seed);
    const on = Uint8Array.of(1, 0, 0, 0);
    this.#must(winsock.setsockopt(socket, spi.SOL_SOCKET, spi.SO_OOBINLINE, on, 4));
    this.#must(winsock.ioctlsocket(socket, spi.FIONBIO, spi.ref(1)));
  }

  send(lengths: readonly number[], flags = 0): void {
    if (this.#isShut) return;
    const memory = this.#bytes(lengths);
    const overlapped = spi.createOverlapped();
    const buffers = cut(memory, lengths);
    const result = this.#winsock.WSASend(
      this.socket,
      buffers,
      buffers.length,
      null,
      flags,
      overlapped,
      null,
    );
    const operation = { overlapped, memory };
    // XFER-13: no memory could be registered, and nothing was sent.
    if (result !== 0 && this.#winsock.WSAGetLastError() === spi.WSAENOBUFS) return;
    this.#mustPend(result);
    this.#sends.push(operation);
    this.#sent.push({ operation, bytes: memory.slice() });
  }

  sendNow(length: number): void {
    if (this.#isShut) return;
    const memory = this.#bytes([length]);
    const count = this.#winsock.send(this.socket, memory, length, 0);
    if (count >= 0) this.#sent.push({ operation: null, bytes: memory.slice(0, count) });
    else this.#mustBe(spi.WSAEWOULDBLOCK);
    // The bytes are the switch's now: what becomes of the caller's memory is nobody's concern.
    memory.fill(0);
  }

  receive(lengths: readonly number[], waitAll: boolean): Operation {
    const memory = this.#bytes(lengths);
    const overlapped = spi.createOverlapped();
    const flags = spi.ref(waitAll ? spi.MSG_WAITALL : 0);
    const buffers = cut(memory, lengths);
    const result = this.#winsock.WSARecv(
      this.socket,
      buffers,
      buffers.length,
      null,
      flags,
      overlapped,
      null,
    );
    this.#mustPend(result);
    const operation = { overlapped, memory };
    this.#received.push(operation);
    return operation;
  }

  receiveNow(length: number, peek: boolean): void {
    const memory = new Uint8Array(length);
    const count = this.#winsock.recv(this.socket, memory, length, peek ? spi.MSG_PEEK : 0);
    if (count < 0) {
      this.#mustBe(spi.WSAEWOULDBLOCK);
      return;
    }
    if (!peek) {
      this.#received.push(memory.subarray(0, count));
      return;
    }
    // What a peek shows is what a receive takes, with nothing in between.
    const same = new Uint8Array(count);
    if (count === 0) return;
    if (this.#winsock.recv(this.socket, same, count, 0) !== count)
      throw new Error('shown, not given');
    if (Buffer.compare(same, memory.subarray(0, count)) !== 0)
      throw new Error('shown something else');
    this.#received.push(same);
  }

  shutdown(): void {
    this.#isShut = true;
    this.#must(this.#winsock.shutdown(this.socket, spi.SD_SEND));
  }

  close(): void {
    this.#must(this.#winsock.closesocket(this.socket));
  }

  /** Receives until the end of the stream; `turn` lets things move. */
  readToEnd(turn: () => void): void {
    for (let round = 0; round < 2_000; round++) {
      const operation = this.receive([20_000], false);
      for (let turns = 0; isPending(operation); turns++) {
        if (turns > 2_000_000) throw new Error('a receive that never ends');
        turn();
      }
      if (operation.overlapped.Internal !== 0) throw new Error(`failed: ${errorOf(operation)}`);
      if (operation.overlapped.InternalHigh === 0) return;
    }
    throw new Error('a stream without an end');
  }

  get hasPending(): boolean {
    return [...this.#sends, ...this.#received].some((one) => 'overlapped' in one && isPending(one));
  }

  get sent(): Buffer {
    const went = this.#sent.filter(({ operation }) => operation === null || !isRefused(operation));
    return Buffer.concat(went.map(({ bytes }) => bytes));
  }

  get received(): Buffer {
    return Buffer.concat(
      this.#received.map((one) =>
        'overlapped' in one ? one.memory.subarray(0, one.overlapped.InternalHigh) : one,
      ),
    );
  }

  /** Every send has ended, in full; or, if `mayFail`, as a close ends it. */
  checkSends(mayFail: boolean): void {
    for (const operation of this.#sends) {
      const { overlapped, memory } = operation;
      if (overlapped.Internal === 0 && overlapped.InternalHigh === memory.length) continue;
      if (isRefused(operation)) continue;
      if (mayFail && CLOSE_ERRORS.includes(errorOf(operation))) continue;
      throw new Error(`a send ended with ${errorOf(operation)}, ${overlapped.InternalHigh} bytes`);
    }
  }

  checkReceives(): void {
    for (const one of this.#received) {
      if (!('overlapped' in one) || one.overlapped.Internal === 0) continue;
      if (!CLOSE_ERRORS.includes(errorOf(one)))
        throw new Error(`a receive ended with ${errorOf(one)}`);
    }
  }

  #bytes(lengths: readonly number[]): Uint8Array {
    const memory = new Uint8Array(lengths.reduce((sum, one) => sum + one, 0));
    this.#random.fill(memory);
    return memory;
  }

  #must(result: number): void {
    if (result !== 0) throw new Error(`failed: ${this.#winsock.WSAGetLastError()}`);
  }

  #mustPend(result: number): void {
    if (result !== 0) this.#mustBe(spi.WSA_IO_PENDING);
  }

  #mustBe(code: number): void {
    const error = this.#winsock.WSAGetLastError();
    if (error !== code) throw new Error(`failed: ${error}`);
  }
}

const isPending = ({ overlapped }: Operation): boolean =>
  overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS;
/** XFER-13, later than in its call. */
const isRefused = ({ overlapped }: Operation): boolean =>
  spi.wsaErrorOfStatus(overlapped.Internal) === spi.WSAENOBUFS && overlapped.InternalHigh === 0;
const errorOf = ({ overlapped }: Operation): number => spi.wsaErrorOfStatus(overlapped.Internal);

function cut(memory: Uint8Array, lengths: readonly number[]): spi.WSABUF[] {
  let at = 0;
  return lengths.map((len) => {
    const buf = memory.subarray(at, at + len);
    at += len;
    return { len, buf };
  });
}

/** The plan with one buffer per operation: a part that is refused then leaves nothing of its send. */
export function withSingleBuffers(plan: Plan): Plan {
  const steps = plan.steps.map((step) =>
    step.kind === 'send' ? { ...step, parts: step.parts.slice(0, 1) } : step,
  );
  return { ...plan, steps };
}

export interface Ends {
  readonly a: { readonly winsock: Winsock; readonly socket: number };
  readonly b: { readonly winsock: Winsock; readonly socket: number };
  /** Lets everything move a little; how much has moved. */
  readonly turn: () => number;
}

/** Runs a plan; both sockets are closed afterwards. Throws what differs from the model. */
export function runPlan(ends: Ends, { steps, abrupt }: Plan): void {
  const a = new End(ends.a.winsock, ends.a.socket, 1);
  const b = new End(ends.b.winsock, ends.b.socket, 2);
  const both = { a, b };
  for (const step of steps) carryOut(step, both, ends.turn);
  if (abrupt === null) endInOrder(both, ends.turn);
  else endAbruptly(both, abrupt, ends.turn);
}

function carryOut(step: Step, both: Record<Side, End>, turn: () => number): void {
  switch (step.kind) {
    case 'send':
      both[step.side].send(step.parts);
      return;
    case 'sendNow':
      both[step.side].sendNow(step.length);
      return;
    case 'urgent':
      both[step.side].send([step.length], spi.MSG_OOB);
      return;
    case 'receive':
      both[step.side].receive(step.parts, step.waitAll);
      return;
    case 'receiveNow':
      both[step.side].receiveNow(step.length, step.peek);
      return;
    case 'shutdown':
      both[step.side].shutdown();
      return;
    case 'turns':
      for (let count = 0; count < step.count; count++) turn();
  }
}

function endInOrder({ a, b }: Record<Side, End>, turn: () => number): void {
  a.shutdown();
  b.shutdown();
  a.readToEnd(turn);
  b.readToEnd(turn);
  untilEnded([a, b], turn);
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.checkSends(false);
    if (Buffer.compare(from.sent, to.received) !== 0)
      throw new Error('another stream than was sent');
  }
  a.close();
  b.close();
}

function endAbruptly(both: Record<Side, End>, closer: Side, turn: () => number): void {
  const other = both[closer === 'a' ? 'b' : 'a'];
  both[closer].close();
  for (let count = 0; count < 20; count++) turn();
  other.close();
  untilEnded([both.a, both.b], turn);
  for (const [from, to] of [
    [both.a, both.b],
    [both.b, both.a],
  ] as const) {
    from.checkSends(true);
    to.checkReceives();
    const got = to.received;
    if (Buffer.compare(got, from.sent.subarray(0, got.length)) !== 0) {
      throw new Error('another stream than was sent, before its end');
    }
  }
}

function untilEnded(ends: readonly End[], turn: () => number): void {
  for (let turns = 0; ends.some(({ hasPending }) => hasPending); turns++) {
    if (turns > 200_000) throw new Error('an operation that never ends');
    turn();
  }
}
