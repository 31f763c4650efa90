// One simulated connection: how it comes about, its two ends, what may be expected of it, and the check of
// the two streams. It must not know the plan.

import * as spi from '../../provider/spi/index.js';
import { Finding, keepUrgentInline, SimEnd } from './end.js';
import type { SimHost } from './host.js';
import type { Side } from './plan.js';
import type { Watch } from './watch.js';

export const PORT = 4000;
const FIRST_CLIENT_PORT = 20_000;
const FIRST_BYTE = 0x31;
const NONE = new Uint8Array(0);

export interface ConnectionParts {
  readonly index: number;
  readonly from: SimHost;
  readonly to: SimHost;
  readonly hasPort: boolean;
  /** Bytes that ConnectEx sends; null: with connect. */
  readonly first: number | null;
  readonly watch: Watch;
  readonly seed: number;
}

export class SimConnection {
  readonly index: number;
  readonly from: SimHost;
  readonly to: SimHost;
  readonly ends: { a: SimEnd | null; b: SimEnd | null } = { a: null, b: null };
  /** Something has happened that may end it early. */
  isWounded = false;
  readonly #parts: ConnectionParts;
  readonly #socket: number;
  readonly #event: number;
  /** Of ConnectEx. */
  readonly #overlapped = spi.createOverlapped();
  readonly #first: Uint8Array;
  #isConnecting = true;

  constructor(parts: ConnectionParts) {
    const { index, from, to } = parts;
    this.#parts = parts;
    this.index = index;
    this.from = from;
    this.to = to;
    const { winsock } = from;
    this.#socket = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);
    this.#event = winsock.WSACreateEvent();
    if (this.#socket === spi.INVALID_SOCKET) throw new Finding('no socket');
    keepUrgentInline(from, this.#socket);
    const own = spi.sockaddrIn(from.address, this.clientPort);
    if (winsock.bind(this.#socket, own, own.length) !== 0) throw new Finding('a port in use');
    this.#first = new Uint8Array(parts.first ?? 0).fill(FIRST_BYTE);
    const error = this.#connect(spi.sockaddrIn(to.address, PORT));
    parts.watch.note('connect', index, error);
    if (error !== 0 && error !== spi.WSAEWOULDBLOCK && error !== spi.WSA_IO_PENDING) this.#ended();
  }

  #connect(name: Uint8Array): number {
    const { winsock } = this.from;
    const first = this.#first;
    let isDone: boolean;
    if (this.#parts.first === null) {
      winsock.WSAEventSelect(this.#socket, this.#event, spi.FD_CONNECT);
      isDone = winsock.connect(this.#socket, name, name.length) === 0;
    } else {
      const ov = this.#overlapped;
      const sent = spi.ref(0);
      isDone = winsock.ConnectEx(this.#socket, name, name.length, first, first.length, sent, ov);
    }
    return isDone ? 0 : winsock.WSAGetLastError();
  }

  get clientPort(): number {
    return FIRST_CLIENT_PORT + this.index;
  }

  get isConnecting(): boolean {
    return this.#isConnecting;
  }

  end(side: Side): SimEnd | null {
    const end = this.ends[side];
    return end === null || end.host.isStill ? null : end;
  }

  /** Looks whether the client is connected. */
  look(): void {
    if (!this.#isConnecting || this.from.isStill) return;
    const { winsock } = this.from;
    const error = this.#parts.first === null ? this.#outcome() : this.#extendedOutcome();
    if (error < 0) return;
    this.#parts.watch.note('connected', this.index, error);
    if (error !== 0) {
      this.#ended();
      return;
    }
    this.#isConnecting = false;
    winsock.WSAEventSelect(this.#socket, 0, 0);
    winsock.WSACloseEvent(this.#event);
    const end = this.#makeEnd(this.from, this.#socket, 0);
    this.ends.a = end;
    if (this.#first.length > 0) end.hasSent(this.#first.slice());
    // The application's again.
    this.#first.fill(0);
  }

  /** 0 or the error of connect; -1: it is not over. */
  #outcome(): number {
    const events = spi.createNetworkEvents();
    if (this.from.winsock.WSAEnumNetworkEvents(this.#socket, 0, events) !== 0) return -1;
    if ((events.lNetworkEvents & spi.FD_CONNECT) === 0) return -1;
    return events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
  }

  /** The same of ConnectEx. */
  #extendedOutcome(): number {
    const { Internal, InternalHigh } = this.#overlapped;
    if (Internal === spi.WSS_OPERATION_IN_PROGRESS) return -1;
    if (Internal !== 0) return spi.wsaErrorOfStatus(Internal);
    if (InternalHigh !== this.#first.length) throw new Finding(`ConnectEx sent ${InternalHigh}`);
    const { SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT } = spi;
    this.from.winsock.setsockopt(this.#socket, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NONE, 0);
    return 0;
  }

  /** Its other end was accepted. */
  accepted(socket: number, first: Uint8Array | null): void {
    if (this.ends.b !== null) throw new Finding('a connection was accepted twice');
    const end = this.#makeEnd(this.to, socket, 1);
    this.ends.b = end;
    if (first !== null) end.hasReceived(first);
  }

  /** It does not come about, or is given up. */
  giveUp(): void {
    if (this.#isConnecting) this.#ended();
  }

  /** Both streams, as far as they went: nothing else, nothing twice, and all of it if nothing broke. */
  check(): void {
    const { a, b } = this.ends;
    for (const end of [a, b]) if (end !== null && !end.host.isDead) end.checkAtEnd();
    if (a === null || b === null) return;
    // What a dead host has received is gone with its memory.
    if (!b.host.isDead) this.#checkStream(a, b);
    if (!a.host.isDead) this.#checkStream(b, a);
  }

  #checkStream(from: SimEnd, to: SimEnd): void {
    if (from.isUnsure) return;
    // WSAENOBUFS of a send may have been the connection's end, and then what followed it did not go.
    if (from.hasRefusals && (from.error !== 0 || to.error !== 0)) return;
    const { sent } = from;
    const { bytes: received, hasGap } = to.received;
    const length = Math.min(sent.length, received.length);
    if (Buffer.compare(sent.subarray(0, length), received.subarray(0, length)) !== 0) {
      throw new Finding(`connection ${this.index}: other bytes arrive than were sent`);
    }
    if (received.length > sent.length) {
      throw new Finding(`connection ${this.index}: more bytes arrive than were sent`);
    }
    if (received.length === sent.length) return;
    if (!this.isWounded) {
      throw new Finding(
        `connection ${this.index}: ${received.length} of ${sent.length} bytes arrive, and nothing broke`,
      );
    }
    if (!hasGap && to.hasEnded && to.error === 0 && from.error === 0 && !from.host.isDead) {
      // Whoever reads to the end of a stream takes it for all of it.
      if (!this.wasCutShort) {
        throw new Finding(
          `connection ${this.index}: ${received.length} of ${sent.length} bytes, and then a proper end`,
        );
      }
    }
  }

  /** A close or a cancelled send: the sender knows that not all of it went. */
  wasCutShort = false;

  #ended(): void {
    this.#isConnecting = false;
    const { winsock } = this.from;
    if (this.from.isDead) return;
    winsock.closesocket(this.#socket);
    winsock.WSACloseEvent(this.#event);
  }

  #makeEnd(host: SimHost, socket: number, which: number): SimEnd {
    const { hasPort, watch, seed, index } = this.#parts;
    const end = new SimEnd(host, socket, { hasPort, watch, seed: seed + index * 2 + which });
    if (hasPort) host.associate(socket, this.index * 2 + which);
    return end;
  }
}
