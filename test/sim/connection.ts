// One simulated connection: how it comes about, its two ends, what may be expected of it, and the check of
// the two streams. It must not know the plan.

import * as spi from '../../provider/spi/index.js';
import { Finding, keepUrgentInline, SimEnd } from './end.js';
import type { SimHost } from './host.js';
import type { Side } from './plan.js';
import type { Watch } from './watch.js';

export const PORT = 4000;
const FIRST_CLIENT_PORT = 20_000;

export interface ConnectionParts {
  readonly index: number;
  readonly from: SimHost;
  readonly to: SimHost;
  readonly hasPort: boolean;
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
    winsock.WSAEventSelect(this.#socket, this.#event, spi.FD_CONNECT);
    const name = spi.sockaddrIn(to.address, PORT);
    const result = winsock.connect(this.#socket, name, name.length);
    const error = result === 0 ? 0 : winsock.WSAGetLastError();
    parts.watch.note('connect', index, error);
    if (error !== 0 && error !== spi.WSAEWOULDBLOCK) this.#ended();
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
    const events = spi.createNetworkEvents();
    if (winsock.WSAEnumNetworkEvents(this.#socket, 0, events) !== 0) return;
    if ((events.lNetworkEvents & spi.FD_CONNECT) === 0) return;
    const error = events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
    this.#parts.watch.note('connected', this.index, error);
    if (error !== 0) {
      this.#ended();
      return;
    }
    this.#isConnecting = false;
    winsock.WSAEventSelect(this.#socket, 0, 0);
    winsock.WSACloseEvent(this.#event);
    this.ends.a = this.#makeEnd(this.from, this.#socket, 0);
  }

  /** Its other end was accepted. */
  accepted(socket: number): void {
    if (this.ends.b !== null) throw new Finding('a connection was accepted twice');
    this.ends.b = this.#makeEnd(this.to, socket, 1);
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
