// One end of a byte stream under test: seeded sizes, several overlapped operations outstanding in each
// direction, each with an event, contents checked byte for byte. Runs in tests and in their children,
// so it knows no test framework; what is wrong is thrown.

import type { Host } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';

/** The largest operation. */
export const BYTES_MAX = 300 * 1024;
/** Prime, so that no power of two repeats itself. */
const PATTERN_BYTES = 65_521;

/** What a stream carries: the byte at each position follows from the seed. */
export class Pattern {
  readonly #block: Buffer;

  constructor(seed: number) {
    // Twice, so that any run of one period is contiguous.
    const once = Buffer.alloc(PATTERN_BYTES);
    new Prng(seed).fill(once);
    this.#block = Buffer.concat([once, once]);
  }

  fill(target: Uint8Array, position: number): void {
    for (let at = 0; at < target.length; ) {
      const piece = this.#at(position + at, target.length - at);
      target.set(piece, at);
      at += piece.length;
    }
  }

  /** Throws when `bytes` is not what the stream carries from `position` on. */
  check(bytes: Uint8Array, position: number): void {
    for (let at = 0; at < bytes.length; ) {
      const piece = this.#at(position + at, bytes.length - at);
      if (piece.compare(bytes, at, at + piece.length) !== 0) {
        throw new Error(`wrong bytes between ${position + at} and ${position + at + piece.length}`);
      }
      at += piece.length;
    }
  }

  #at(position: number, length: number): Buffer {
    const start = position % PATTERN_BYTES;
    return this.#block.subarray(start, start + Math.min(length, PATTERN_BYTES));
  }
}

/** Half of the sizes small, a quarter around the threshold, a quarter large: 1 to BYTES_MAX. */
export function nextSize(random: Prng): number {
  if (random.chance(1, 2)) return random.between(1, 200);
  return random.between(1, random.chance(1, 2) ? 9_000 : BYTES_MAX);
}

export interface StreamOptions {
  /** Of what this end sends; the other end's is what it receives. */
  readonly seed: number;
  readonly peerSeed: number;
  /** How many sends; then the sending direction is shut down. Infinity never ends. */
  readonly sends: number;
  readonly memory: 'VirtualAlloc' | 'ordinary';
  /** Operations outstanding in each direction. */
  readonly outstanding?: number;
}

/** How an operation ended. */
export interface End {
  readonly error: number;
  readonly bytes: number;
}

class Operation {
  readonly buffer: Uint8Array;
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly buffers: readonly [spi.WSABUF];
  isPending = false;

  constructor(buffer: Uint8Array, event: number) {
    this.buffer = buffer;
    this.overlapped = spi.createOverlapped(event);
    this.buffers = [{ len: 0, buf: buffer }];
  }
}

/** Owns its socket, its events and its memory. Belongs to the thread of the host. */
export class StreamEnd {
  readonly #host: Host;
  readonly #socket: number;
  readonly #options: StreamOptions;
  readonly #random: Prng;
  readonly #outgoing: Pattern;
  readonly #incoming: Pattern;
  /** Oldest first; finished ones go to the end. */
  readonly #sends: Operation[];
  readonly #receives: Operation[];
  readonly #bytes = spi.ref(0);
  readonly #flags = spi.ref(0);
  #sendsLeft: number;
  #isShut = false;
  #hasEnded = false;
  bytesSent = 0;
  bytesReceived = 0;

  constructor(host: Host, socket: number, options: StreamOptions) {
    this.#host = host;
    this.#socket = socket;
    this.#options = options;
    this.#random = new Prng(options.seed ^ 0x5eed);
    this.#outgoing = new Pattern(options.seed);
    this.#incoming = new Pattern(options.peerSeed);
    this.#sendsLeft = options.sends;
    this.#sends = this.#operations();
    this.#receives = this.#operations();
  }

  /** Everything sent and shut down, and the end of the peer's stream seen. */
  get isDone(): boolean {
    return this.#isShut && this.#hasEnded && !this.#pending().some(() => true);
  }

  /** Starts what can be started, waits up to `timeoutMs` for an event, handles what has ended. */
  step(timeoutMs: number): void {
    this.#post();
    const events = this.#pending().map(({ overlapped }) => overlapped.hEvent);
    if (events.length === 0) return;
    const { winsock } = this.#host;
    const result = winsock.WSAWaitForMultipleEvents(events.length, events, false, timeoutMs, false);
    if (result === spi.WSA_WAIT_FAILED) this.#fail('WSAWaitForMultipleEvents');
    this.#harvest(this.#sends, () => undefined);
    this.#harvest(this.#receives, (operation, bytes) => {
      this.#incoming.check(operation.buffer.subarray(0, bytes), this.bytesReceived);
      this.bytesReceived += bytes;
      if (bytes === 0) this.#hasEnded = true;
    });
  }

  /** The peer has shut its sending direction down, and everything before has been received. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Waits for the end of every operation that is pending and starts none. `check` may throw. */
  ends(check: () => void): { readonly receives: readonly End[]; readonly sends: readonly End[] } {
    const endsOf = (operations: readonly Operation[]): End[] =>
      operations.filter(({ isPending }) => isPending).map((one) => this.#endOf(one, check));
    return { receives: endsOf(this.#receives), sends: endsOf(this.#sends) };
  }

  /** Waits until `bytes` more have arrived. */
  advance(bytes: number, check: () => void): void {
    const target = this.bytesReceived + bytes;
    while (this.bytesReceived < target) {
      this.step(1_000);
      check();
    }
  }

  /** closesocket, and the end of the events and the memory. */
  close(): void {
    const { winsock } = this.#host;
    winsock.closesocket(this.#socket);
    for (const { overlapped, buffer } of [...this.#sends, ...this.#receives]) {
      winsock.WSACloseEvent(overlapped.hEvent);
      if (this.#options.memory === 'VirtualAlloc') this.#host.VirtualFree(buffer);
    }
  }

  #post(): void {
    for (const operation of this.#sends) {
      if (operation.isPending || this.#sendsLeft === 0) continue;
      this.#sendsLeft--;
      this.#startSend(operation);
    }
    const allSent = this.#sendsLeft === 0 && !this.#sends.some(({ isPending }) => isPending);
    if (allSent && !this.#isShut) {
      this.#isShut = true;
      if (this.#host.winsock.shutdown(this.#socket, spi.SD_SEND) !== 0) this.#fail('shutdown');
    }
    for (const operation of this.#receives) {
      if (!operation.isPending && !this.#hasEnded) this.#startReceive(operation);
    }
  }

  #startSend(operation: Operation): void {
    const { winsock } = this.#host;
    const { buffers, buffer, overlapped } = operation;
    const length = nextSize(this.#random);
    this.#outgoing.fill(buffer.subarray(0, length), this.bytesSent);
    this.bytesSent += length;
    buffers[0].len = length;
    winsock.WSAResetEvent(overlapped.hEvent);
    const failed = winsock.WSASend(this.#socket, buffers, 1, null, 0, overlapped, null) !== 0;
    if (failed) this.#mustBe(spi.WSA_IO_PENDING, 'WSASend');
    operation.isPending = true;
  }

  #startReceive(operation: Operation): void {
    const { winsock } = this.#host;
    const { buffers, overlapped } = operation;
    buffers[0].len = nextSize(this.#random);
    this.#flags.value = 0;
    winsock.WSAResetEvent(overlapped.hEvent);
    const failed =
      winsock.WSARecv(this.#socket, buffers, 1, null, this.#flags, overlapped, null) !== 0;
    if (failed) this.#mustBe(spi.WSA_IO_PENDING, 'WSARecv');
    operation.isPending = true;
  }

  /** Operations of one direction end in order; what has ended goes to the end of the list. */
  #harvest(operations: Operation[], ended: (operation: Operation, bytes: number) => void): void {
    for (let operation = operations[0]; operation?.isPending === true; operation = operations[0]) {
      const { winsock } = this.#host;
      const { overlapped } = operation;
      if (
        !winsock.WSAGetOverlappedResult(this.#socket, overlapped, this.#bytes, false, this.#flags)
      ) {
        this.#mustBe(spi.WSA_IO_INCOMPLETE, 'WSAGetOverlappedResult');
        return;
      }
      operation.isPending = false;
      operations.push(...operations.splice(0, 1));
      ended(operation, this.#bytes.value);
    }
  }

  #endOf(operation: Operation, check: () => void): End {
    const { winsock } = this.#host;
    const { overlapped } = operation;
    for (;;) {
      winsock.WSAWaitForMultipleEvents(1, [overlapped.hEvent], false, 1_000, false);
      const flags = this.#flags;
      if (winsock.WSAGetOverlappedResult(this.#socket, overlapped, this.#bytes, false, flags)) {
        return { error: 0, bytes: this.#bytes.value };
      }
      const error = winsock.WSAGetLastError();
      if (error !== spi.WSA_IO_INCOMPLETE) return { error, bytes: 0 };
      check();
    }
  }

  #pending(): Operation[] {
    return [...this.#receives, ...this.#sends].filter(({ isPending }) => isPending);
  }

  #operations(): Operation[] {
    return Array.from({ length: this.#options.outstanding ?? 4 }, () => {
      const event = this.#host.winsock.WSACreateEvent();
      if (event === spi.WSA_INVALID_EVENT) this.#fail('WSACreateEvent');
      return new Operation(this.#memory(), event);
    });
  }

  #memory(): Uint8Array {
    if (this.#options.memory === 'ordinary') return Buffer.alloc(BYTES_MAX);
    const memory = this.#host.VirtualAlloc(BYTES_MAX);
    if (memory === null) throw new spi.WsaError(spi.WSAENOBUFS, { call: 'VirtualAlloc' });
    return memory;
  }

  #mustBe(code: number, call: string): void {
    if (this.#host.winsock.WSAGetLastError() !== code) this.#fail(call);
  }

  #fail(call: string): never {
    throw new spi.WsaError(this.#host.winsock.WSAGetLastError(), { call });
  }
}
