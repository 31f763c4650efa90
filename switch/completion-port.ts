// I/O completion ports: queues of packets that operations of associated sockets, and the application
// itself, fill and that waits empty, oldest first. Knows no socket: an association is kept by whoever
// completes operations. Packets are pooled; posting one allocates nothing once the pool is warm.
// Sources: W9.1, W9.8, W9.13, W2.11.

import type { WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import type { DWORD_PTR } from '../provider/spi/winsock2.js';

/** One packet: what GetQueuedCompletionStatus hands out. */
export class Packet {
  key: DWORD_PTR = 0;
  overlapped: WSAOVERLAPPED | null = null;
  bytes = 0;
  /** NTSTATUS of the operation; 0 for a posted packet. */
  status = 0;
  next: Packet | null = null;
}

export class CompletionPort {
  readonly handle: number;
  isClosed = false;
  #first: Packet | null = null;
  #last: Packet | null = null;
  #spare: Packet | null = null;

  constructor(handle: number) {
    this.handle = handle;
  }

  get isEmpty(): boolean {
    return this.#first === null;
  }

  post(key: DWORD_PTR, overlapped: WSAOVERLAPPED | null, bytes: number, status: number): void {
    const packet = this.#spare ?? new Packet();
    this.#spare = packet.next;
    packet.key = key;
    packet.overlapped = overlapped;
    packet.bytes = bytes;
    packet.status = status;
    packet.next = null;
    if (this.#last === null) this.#first = packet;
    else this.#last.next = packet;
    this.#last = packet;
  }

  /** The oldest packet, or null; the caller reads it and gives it back at once. */
  take(): Packet | null {
    const packet = this.#first;
    if (packet === null) return null;
    this.#first = packet.next;
    if (this.#first === null) this.#last = null;
    return packet;
  }

  giveBack(packet: Packet): void {
    packet.key = 0;
    packet.overlapped = null;
    packet.next = this.#spare;
    this.#spare = packet;
  }
}

/** Above sockets and events, so that no handle is taken for another kind. [W3.6] */
const FIRST_HANDLE = 0x5000_0000;

export class PortTable {
  readonly #ports = new Map<number, CompletionPort>();
  #next = FIRST_HANDLE;

  get count(): number {
    return this.#ports.size;
  }

  create(): CompletionPort {
    const port = new CompletionPort(this.#next);
    this.#next += 4;
    this.#ports.set(port.handle, port);
    return port;
  }

  find(handle: number): CompletionPort | null {
    return this.#ports.get(handle) ?? null;
  }

  /** Waits on it end; sockets that are associated go on without packets. False: no such port. */
  close(handle: number): boolean {
    const port = this.#ports.get(handle);
    if (port === undefined) return false;
    port.isClosed = true;
    return this.#ports.delete(handle);
  }
}
