// One overlapped operation between the caller and the provider. The provider gets a stand-in for the
// WSAOVERLAPPED and a copy of the WSABUF array: the stand-in passes every write on and sees the moment of
// completion and the order of publication, the copy notices who reads it too late.
// Sources: OVL-05 to OVL-13, WSPSEND-03.

import type { WSABUF, WSAOVERLAPPED } from '../../spi/winsock2.js';
import type { WSABUFEX } from '../../spi/ws2san.js';
import { WSS_OPERATION_IN_PROGRESS } from '../../spi/ws2spi.js';
import type { Range } from './memory.js';
import type { SocketShadow } from './world.js';

export type TransferKind = 'send' | 'receive' | 'write' | 'read';

/** Who hears of what happens to an operation. */
export interface OperationObserver {
  /** The provider has stored an outcome by itself: Internal is out of progress. */
  published(operation: Operation): void;
  /** A write to the WSAOVERLAPPED of an operation that is over. */
  writtenLate(operation: Operation, field: string): void;
  /** The WSABUF array is read after the call returned. */
  arrayReadLate(operation: Operation): void;
}

export class Operation implements WSAOVERLAPPED {
  /** 'posting' while its call has not returned. */
  state: 'posting' | 'pending' | 'failed' | 'done' = 'posting';
  /** Told by the upcall, stored by the provider itself, or returned by the call. */
  endedBy: 'upcall' | 'store' | 'call' | null = null;
  error = 0;
  bytes = 0;
  /** Bytes of its buffers. */
  total = 0;
  /** Its place among the receives of its socket, in posting order. */
  place = -1;
  checksum = 0;
  readonly hEvent0: number;
  ranges: readonly Range[] = [];
  buffers: readonly WSABUF[] = [];
  /** For RDMA: what the peer's memory is named by, and when the operation started. */
  descriptor: Uint8Array | null = null;
  offset = 0;
  startedAt: number = 0;

  constructor(
    readonly kind: TransferKind,
    readonly socket: SocketShadow,
    readonly real: WSAOVERLAPPED,
    private readonly observer: OperationObserver,
  ) {
    this.hEvent0 = real.hEvent;
  }

  get isSuppressed(): boolean {
    return (this.hEvent0 & 1) !== 0;
  }

  get isOver(): boolean {
    return this.state === 'done' || this.state === 'failed';
  }

  get hEvent(): number {
    return this.real.hEvent;
  }

  set hEvent(value: number) {
    this.observer.writtenLate(this, 'hEvent');
    this.real.hEvent = value;
  }

  get Internal(): number {
    return this.real.Internal;
  }

  set Internal(value: number) {
    if (this.isOver) this.observer.writtenLate(this, 'Internal');
    this.real.Internal = value;
    if (!this.isOver && value !== WSS_OPERATION_IN_PROGRESS) this.observer.published(this);
  }

  get InternalHigh(): number {
    return this.real.InternalHigh;
  }

  set InternalHigh(value: number) {
    if (this.isOver) this.observer.writtenLate(this, 'InternalHigh');
    this.real.InternalHigh = value;
  }

  get Offset(): number {
    return this.real.Offset;
  }

  set Offset(value: number) {
    if (this.isOver) this.observer.writtenLate(this, 'Offset');
    this.real.Offset = value;
  }

  get OffsetHigh(): number {
    return this.real.OffsetHigh;
  }

  set OffsetHigh(value: number) {
    if (this.isOver) this.observer.writtenLate(this, 'OffsetHigh');
    this.real.OffsetHigh = value;
  }

  /** What the provider gets for the caller's array. */
  guard(buffers: readonly WSABUF[]): GuardedBuffer[] {
    return buffers.map((entry) => new GuardedBuffer(entry, this));
  }

  arrayRead(): void {
    if (this.state !== 'posting') this.observer.arrayReadLate(this);
  }
}

/** An entry of the array, readable while the call lasts. [WSPSEND-03] */
class GuardedBuffer implements WSABUFEX {
  constructor(
    private readonly entry: WSABUF,
    private readonly operation: Operation,
  ) {}

  get len(): number {
    this.operation.arrayRead();
    return this.entry.len;
  }

  get buf(): Uint8Array | null {
    this.operation.arrayRead();
    return this.entry.buf;
  }

  get handle(): number {
    this.operation.arrayRead();
    return (this.entry as WSABUFEX).handle;
  }
}
