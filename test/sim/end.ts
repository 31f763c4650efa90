// One end of a simulated connection, as an application has it: its operations, the bytes it has sent and
// received, the guards around its memory, and how often each operation was reported to be over. It must
// not know the other end, nor who calls it when.

import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import type { SimHost } from './host.js';
import type { Watch } from './watch.js';

const GUARD_BYTES = 32;
const GUARD = 0xa7;
const GUARDS = new Uint8Array(GUARD_BYTES).fill(GUARD);
const TF_REUSE_SOCKET = 2;
const PATTERN_BYTES = 2 ** 18;
/** All contents are parts of it: filling in is copying. */
const PATTERN = new Uint8Array(PATTERN_BYTES);
new Prng(7).fill(PATTERN);

/** Something that a checker has found. */
export class Finding extends Error {
  override readonly name = 'Finding';
}

export interface Operation {
  readonly isSend: boolean;
  readonly overlapped: spi.WSAOVERLAPPED;
  /** What the application lent, between its guards. */
  readonly memory: Uint8Array;
  readonly whole: Uint8Array;
  readonly inSegment: boolean;
  /** How often a completion port has told of it. */
  reports: number;
  isFreed: boolean;
}

interface Sent {
  readonly operation: Operation | null;
  readonly bytes: Uint8Array;
}

export class SimEnd {
  readonly host: SimHost;
  readonly socket: number;
  /** A completion port tells of its operations. */
  readonly hasPort: boolean;
  isShut = false;
  isClosed = false;
  isDisconnected = false;
  /** The end of the peer's stream was read. */
  hasEnded = false;
  /** What it has sent cannot be known: a send was cancelled. */
  isUnsure = false;
  /** A call or an operation has said that the connection is lost. */
  error = 0;
  readonly pending = new Set<Operation>();
  #lastError = 0;
  #transmission: Operation | null = null;
  readonly #watch: Watch;
  readonly #random: Prng;
  readonly #sent: Sent[] = [];
  /** null: a receive was given up, and what it had taken with it. */
  readonly #received: (Operation | Uint8Array | null)[] = [];
  readonly #operations: Operation[] = [];

  constructor(
    host: SimHost,
    socket: number,
    parts: { hasPort: boolean; watch: Watch; seed: number },
  ) {
    this.host = host;
    this.socket = socket;
    this.hasPort = parts.hasPort;
    this.#watch = parts.watch;
    this.#random = new Prng(parts.seed);
    const { winsock } = host;
    keepUrgentInline(host, socket);
    this.#call(winsock.ioctlsocket(socket, spi.FIONBIO, spi.ref(1)));
  }

  send(lengths: readonly number[], inSegment: boolean, flags: number): void {
    if (this.#maySendNothing) return;
    const operation = this.#begin(true, lengths, inSegment);
    if (operation === null) return;
    const list = cut(operation.memory, lengths);
    // What goes is what is there now; nobody may change it until it is over.
    const bytes = operation.memory.slice();
    const { winsock } = this.host;
    const { overlapped } = operation;
    const result = winsock.WSASend(this.socket, list, list.length, null, flags, overlapped, null);
    if (this.#hasStarted(result, operation)) this.#sent.push({ operation, bytes });
  }

  /** A head and a tail. Others may come between them, so nothing else is sent before it is over. */
  transmit(lengths: readonly number[], inSegment: boolean): void {
    if (this.#maySendNothing) return;
    const operation = this.#begin(true, lengths, inSegment);
    if (operation === null) return;
    const [head, tail] = cut(operation.memory, lengths);
    const bytes = operation.memory.slice();
    const buffers = {
      Head: head?.buf ?? null,
      HeadLength: head?.len ?? 0,
      Tail: tail?.buf ?? null,
      TailLength: tail?.len ?? 0,
    };
    const { overlapped } = operation;
    const isDone = this.host.winsock.TransmitFile(this.socket, 0, 0, 0, overlapped, buffers, 0);
    if (!this.#hasStarted(isDone ? 0 : -1, operation)) return;
    this.#transmission = operation;
    this.#sent.push({ operation, bytes });
  }

  /** Ends both directions, as close() does, but the socket stays. */
  disconnect(reuse: boolean): void {
    if (this.isClosed || this.isDisconnected) return;
    const operation = this.#begin(true, [0], false);
    if (operation === null) return;
    this.isShut = true;
    this.isDisconnected = true;
    const { overlapped } = operation;
    const flags = reuse ? TF_REUSE_SOCKET : 0;
    const isDone = this.host.winsock.DisconnectEx(this.socket, overlapped, flags, 0);
    this.#hasStarted(isDone ? 0 : -1, operation);
  }

  /** What ConnectEx has sent. */
  hasSent(bytes: Uint8Array): void {
    this.#sent.push({ operation: null, bytes });
  }

  /** What AcceptEx has received; nothing is the end. */
  hasReceived(bytes: Uint8Array): void {
    this.#received.push(bytes);
    if (bytes.length === 0) this.hasEnded = true;
  }

  /** Whether all of it was taken. */
  sendNow(length: number): boolean {
    if (this.#maySendNothing) return false;
    const memory = this.#contents(length).slice();
    const bytes = memory.slice();
    const count = this.host.winsock.send(this.socket, memory, length, 0);
    if (count >= 0) this.#sent.push({ operation: null, bytes: bytes.subarray(0, count) });
    else this.#failed(this.host.winsock.WSAGetLastError(), true);
    this.#watch.note('send', this.socket, count);
    // The bytes are the switch's now: what becomes of the caller's memory is nobody's concern.
    memory.fill(0);
    return count === length;
  }

  receive(lengths: readonly number[], inSegment: boolean, waitsForAll: boolean): Operation | null {
    if (this.isClosed) return null;
    const operation = this.#begin(false, lengths, inSegment);
    if (operation === null) return null;
    const list = cut(operation.memory, lengths);
    const flags = spi.ref(waitsForAll ? spi.MSG_WAITALL : 0);
    const { overlapped } = operation;
    const { winsock } = this.host;
    const result = winsock.WSARecv(this.socket, list, list.length, null, flags, overlapped, null);
    if (!this.#hasStarted(result, operation)) return null;
    this.#received.push(operation);
    return operation;
  }

  /** Whether anything came. */
  receiveNow(length: number, peek: boolean): boolean {
    if (this.isClosed) return false;
    const memory = new Uint8Array(length);
    const { winsock } = this.host;
    const count = winsock.recv(this.socket, memory, length, peek ? spi.MSG_PEEK : 0);
    this.#watch.note('recv', this.socket, count);
    if (count < 0) this.#failed(winsock.WSAGetLastError());
    else if (!peek) {
      if (count === 0) this.hasEnded = true;
      this.#received.push(memory.subarray(0, count));
    }
    return count > 0;
  }

  /** A blocking send. False: its time was up, and what went of it is unknown. */
  sendWaiting(length: number, millis: number): boolean {
    if (this.#maySendNothing) return true;
    const memory = this.#contents(length).slice();
    const bytes = memory.slice();
    const { winsock } = this.host;
    const count = this.#blocking(spi.SO_SNDTIMEO, millis, () =>
      winsock.send(this.socket, memory, length, 0),
    );
    const error = count < 0 ? winsock.WSAGetLastError() : 0;
    this.#watch.note('blocking send', this.socket, count);
    memory.fill(0);
    if (count >= 0) this.#sent.push({ operation: null, bytes: bytes.subarray(0, count) });
    else this.#failed(error, true);
    if (error !== 0 && error !== spi.WSAENOBUFS) this.isUnsure = true;
    return error !== spi.WSAETIMEDOUT;
  }

  /** A blocking receive. False: its time was up, and what it had taken is lost. [BLK-05] */
  receiveWaiting(length: number, millis: number): boolean {
    if (this.isClosed) return true;
    const memory = new Uint8Array(length);
    const { winsock } = this.host;
    const count = this.#blocking(spi.SO_RCVTIMEO, millis, () =>
      winsock.recv(this.socket, memory, length, 0),
    );
    const error = count < 0 ? winsock.WSAGetLastError() : 0;
    this.#watch.note('blocking recv', this.socket, count);
    if (error === spi.WSAETIMEDOUT) this.#received.push(null);
    else if (error !== 0) this.#failed(error);
    else {
      if (count === 0) this.hasEnded = true;
      this.#received.push(memory.subarray(0, count));
    }
    return error !== spi.WSAETIMEDOUT;
  }

  /** Whether a nonblocking call fails for want of something to wait for. */
  wouldBlock(call: () => boolean): boolean {
    this.#lastError = 0;
    return !call() && this.error === 0 && this.#lastError === spi.WSAEWOULDBLOCK;
  }

  /** Whether a receive is posted, or nobody has looked since it was. */
  get isReceiving(): boolean {
    return [...this.pending].some(({ isSend }) => !isSend);
  }

  cancel(isSend: boolean): void {
    for (const operation of this.pending) {
      if (operation.isSend !== isSend) continue;
      // It goes in part, or not at all; what follows it goes only if none of it went.
      if (isSend) this.isUnsure = true;
      this.host.winsock.CancelIoEx(this.socket, operation.overlapped);
      return;
    }
  }

  shutdown(): void {
    // Who transmits has not said all yet.
    if (this.#maySendNothing) return;
    this.isShut = true;
    this.#call(this.host.winsock.shutdown(this.socket, spi.SD_SEND));
  }

  deafen(): void {
    if (this.isClosed) return;
    this.#call(this.host.winsock.shutdown(this.socket, spi.SD_RECEIVE));
  }

  close(isHard: boolean): void {
    if (this.isClosed) return;
    const { winsock } = this.host;
    if (isHard) {
      const now = Uint8Array.of(1, 0, 0, 0);
      winsock.setsockopt(this.socket, spi.SOL_SOCKET, spi.SO_LINGER, now, 4);
    }
    this.isClosed = true;
    this.isShut = true;
    if (winsock.closesocket(this.socket) !== 0) {
      throw new Finding(`closesocket fails with ${winsock.WSAGetLastError()}`);
    }
  }

  /** A completion port has told of an operation of this end. */
  reported(overlapped: spi.WSAOVERLAPPED): void {
    const operation = this.#operations.find((one) => one.overlapped === overlapped);
    if (operation === undefined) throw new Finding('a completion of nothing');
    if (++operation.reports > 1) throw new Finding('an operation was completed twice');
    if (overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS) {
      throw new Finding('an operation was reported before it was over');
    }
  }

  /** Looks what is over. Returns how much. */
  look(): number {
    let count = 0;
    for (const operation of this.pending) {
      if (operation.overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS) continue;
      if (this.hasPort && operation.reports === 0) continue;
      this.pending.delete(operation);
      this.#over(operation);
      count++;
    }
    return count;
  }

  /** Throws Finding when an operation was not reported, or guards were touched. */
  checkAtEnd(): void {
    for (const operation of this.#operations) {
      if (this.hasPort && operation.reports !== 1) {
        throw new Finding(`an operation was completed ${operation.reports} times`);
      }
      if (!operation.isFreed) this.#checkGuards(operation);
    }
  }

  /** What went, by what its sends said: all of it where that is not known. */
  get sent(): Buffer {
    return Buffer.concat(
      this.#sent.map(({ operation, bytes }) => {
        // XFER-13: the stream goes on behind a send that was refused, which says how much of it went.
        const isRefused = operation !== null && errorOf(operation) === spi.WSAENOBUFS;
        return isRefused ? bytes.subarray(0, operation.overlapped.InternalHigh) : bytes;
      }),
    );
  }

  /** Whether a send has ended with WSAENOBUFS. */
  get hasRefusals(): boolean {
    return this.#sent.some(
      ({ operation }) => operation !== null && errorOf(operation) === spi.WSAENOBUFS,
    );
  }

  /** What came, up to a receive that failed: what that had taken is lost, and a gap. [BLK-04, BLK-05] */
  get received(): { readonly bytes: Buffer; readonly hasGap: boolean } {
    const parts: Uint8Array[] = [];
    for (const one of this.#received) {
      if (one === null || ('overlapped' in one && errorOf(one) !== 0)) {
        return { bytes: Buffer.concat(parts), hasGap: true };
      }
      const isOperation = 'overlapped' in one;
      parts.push(isOperation ? one.memory.subarray(0, one.overlapped.InternalHigh) : one);
    }
    return { bytes: Buffer.concat(parts), hasGap: false };
  }

  /** Gives memory back that no operation uses. */
  release(): void {
    for (const operation of this.#operations) {
      if (operation.inSegment && !operation.isFreed) this.#free(operation);
    }
    this.#operations.length = 0;
  }

  get #maySendNothing(): boolean {
    const { overlapped } = this.#transmission ?? {};
    const isTransmitting = overlapped?.Internal === spi.WSS_OPERATION_IN_PROGRESS;
    return this.isShut || this.isClosed || isTransmitting;
  }

  #begin(isSend: boolean, lengths: readonly number[], inSegment: boolean): Operation | null {
    const length = lengths.reduce((sum, one) => sum + one, 0);
    const bytes = length + 2 * GUARD_BYTES;
    const whole = inSegment ? this.host.allocate(bytes) : new Uint8Array(bytes);
    if (whole === null) return null;
    whole.set(GUARDS);
    whole.set(GUARDS, bytes - GUARD_BYTES);
    const memory = whole.subarray(GUARD_BYTES, GUARD_BYTES + length);
    if (isSend) memory.set(this.#contents(length));
    const overlapped = spi.createOverlapped();
    return {
      isSend,
      overlapped,
      memory,
      whole,
      inSegment,
      reports: 0,
      isFreed: false,
    };
  }

  #hasStarted(result: number, operation: Operation): boolean {
    const error = result === 0 ? 0 : this.host.winsock.WSAGetLastError();
    const isStarted = error === 0 || error === spi.WSA_IO_PENDING;
    this.#watch.note(operation.isSend ? 'WSASend' : 'WSARecv', this.socket, error);
    if (isStarted) {
      this.#operations.push(operation);
      this.pending.add(operation);
      return true;
    }
    this.#checkGuards(operation);
    if (operation.inSegment) this.#free(operation);
    this.#failed(error, operation.isSend);
    return false;
  }

  #over(operation: Operation): void {
    const { overlapped, isSend, memory } = operation;
    const error = errorOf(operation);
    this.#watch.note(isSend ? 'send over' : 'receive over', error, overlapped.InternalHigh);
    this.#checkGuards(operation);
    // The application's again: nobody looks at it any more.
    if (isSend) memory.fill(0);
    if (isSend && operation.inSegment && memory.length % 2 === 0) this.#free(operation);
    if (overlapped.InternalHigh > memory.length)
      throw new Finding('more bytes than were asked for');
    if (error !== 0) this.#failed(error, isSend);
    else if (isSend && overlapped.InternalHigh !== memory.length) {
      throw new Finding(`a send of ${memory.length} ended well with ${overlapped.InternalHigh}`);
    } else if (!isSend && overlapped.InternalHigh === 0) this.hasEnded = true;
  }

  #free(operation: Operation): void {
    operation.isFreed = true;
    this.host.free(operation.whole);
  }

  #checkGuards({ whole, isSend }: Operation): void {
    const end = whole.length - GUARD_BYTES;
    const before = Buffer.compare(whole.subarray(0, GUARD_BYTES), GUARDS);
    if (before === 0 && Buffer.compare(whole.subarray(end), GUARDS) === 0) return;
    throw new Finding(`bytes beside a ${isSend ? 'send' : 'receive'} buffer have changed`);
  }

  #contents(length: number): Uint8Array {
    if (length > PATTERN_BYTES / 2) {
      const bytes = new Uint8Array(length);
      for (let at = 0; at < length; at += PATTERN_BYTES / 2) {
        bytes.set(this.#contents(Math.min(PATTERN_BYTES / 2, length - at)), at);
      }
      return bytes;
    }
    const start = this.#random.below(PATTERN_BYTES - length);
    return PATTERN.subarray(start, start + length);
  }

  /** A call that waits, for so long at most; 0 milliseconds would be for ever. */
  #blocking(option: number, millis: number, call: () => number): number {
    const { winsock } = this.host;
    const limit = new Uint8Array(Uint32Array.of(Math.max(1, millis)).buffer);
    winsock.setsockopt(this.socket, spi.SOL_SOCKET, option, limit, 4);
    winsock.ioctlsocket(this.socket, spi.FIONBIO, spi.ref(0));
    const count = call();
    const error = winsock.WSAGetLastError();
    winsock.ioctlsocket(this.socket, spi.FIONBIO, spi.ref(1));
    winsock.WSASetLastError(error);
    return count;
  }

  #call(result: number): void {
    if (result !== 0) this.#failed(this.host.winsock.WSAGetLastError());
  }

  /** An error that a call or an operation has ended with. What is not documented is a finding. */
  #failed(error: number, isSend = false): void {
    this.#lastError = error;
    if (error === spi.WSAEWOULDBLOCK || error === spi.WSA_OPERATION_ABORTED) return;
    // XFER-13: this one had no memory; the connection goes on.
    if (error === spi.WSAENOBUFS && isSend) return;
    if (!LOSSES.has(error)) throw new Finding(`an error that nobody expects: ${error}`);
    this.error = error;
  }
}

/** Urgent bytes are part of the stream. Before a connection exists: some may come with it. */
export function keepUrgentInline({ winsock }: SimHost, socket: number): void {
  winsock.setsockopt(socket, spi.SOL_SOCKET, spi.SO_OOBINLINE, Uint8Array.of(1, 0, 0, 0), 4);
}

/** What the end of a connection may be called. */
const LOSSES: ReadonlySet<number> = new Set([
  spi.WSAECONNRESET,
  spi.WSAECONNABORTED,
  spi.WSAENETRESET,
  spi.WSAENETDOWN,
  spi.WSAENOBUFS,
  spi.WSAETIMEDOUT,
  spi.WSAENOTCONN,
  spi.WSAESHUTDOWN,
]);

function errorOf({ overlapped }: Operation): number {
  return spi.wsaErrorOfStatus(overlapped.Internal);
}

function cut(memory: Uint8Array, lengths: readonly number[]): spi.WSABUF[] {
  let at = 0;
  return lengths.map((len) => {
    const buf = memory.subarray(at, at + len);
    at += len;
    return { len, buf };
  });
}
