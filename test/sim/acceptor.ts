// How the application of a simulated host takes connections: with accept, or with AcceptEx posted ahead,
// with or without the first data. It must not know whose they are. Sources: W10.9, W10.10, XFER-17, ACC-05.

import * as spi from '../../provider/spi/index.js';
import { Finding, keepUrgentInline } from './end.js';
import type { SimHost } from './host.js';
import type { AcceptingWay } from './plan.js';

/** AcceptEx calls under way at a time. */
const POSTED = 2;
const FIRST_BYTES = 40;
const AREA = 32;

export interface Accepted {
  readonly socket: number;
  /** Of the peer. */
  readonly port: number;
  /** What came with it; empty when the stream has ended already; null: nobody asked for any. */
  readonly first: Uint8Array | null;
}

interface Waiting {
  readonly socket: number;
  readonly overlapped: spi.WSAOVERLAPPED;
  readonly output: Uint8Array;
}

export class Acceptor {
  readonly #host: SimHost;
  readonly #listener: number;
  readonly #way: AcceptingWay;
  readonly #waiting: Waiting[] = [];

  constructor(host: SimHost, listener: number, way: AcceptingWay) {
    this.#host = host;
    this.#listener = listener;
    this.#way = way;
  }

  /** The next connection that is there; null: there is none. */
  take(): Accepted | null {
    return this.#way === 'accept' ? this.#accept() : this.#acceptExtended();
  }

  #accept(): Accepted | null {
    const name = new Uint8Array(16);
    const socket = this.#host.winsock.accept(this.#listener, name, spi.ref(16));
    if (socket === spi.INVALID_SOCKET) return null;
    return { socket, port: spi.sockaddrPort(name), first: null };
  }

  #acceptExtended(): Accepted | null {
    const { winsock } = this.#host;
    while (this.#waiting.length < POSTED && this.#post());
    const isOver = ({ overlapped }: Waiting): boolean =>
      overlapped.Internal !== spi.WSS_OPERATION_IN_PROGRESS;
    for (
      let one = this.#waiting.find(isOver);
      one !== undefined;
      one = this.#waiting.find(isOver)
    ) {
      this.#waiting.splice(this.#waiting.indexOf(one), 1);
      const { socket, overlapped, output } = one;
      if (overlapped.Internal !== 0) {
        winsock.closesocket(socket);
        continue;
      }
      const context = new Uint8Array(Uint32Array.of(this.#listener, 0).buffer);
      const { SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT } = spi;
      if (winsock.setsockopt(socket, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, context, 8) !== 0) {
        throw new Finding(`SO_UPDATE_ACCEPT_CONTEXT fails with ${winsock.WSAGetLastError()}`);
      }
      const port = spi.sockaddrPort(output.subarray(this.#firstBytes + AREA));
      const first = this.#firstBytes === 0 ? null : output.slice(0, overlapped.InternalHigh);
      return { socket, port, first };
    }
    return null;
  }

  /** One more AcceptEx. False: it cannot be now. */
  #post(): boolean {
    const { winsock } = this.#host;
    const socket = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
    if (socket === spi.INVALID_SOCKET) return false;
    keepUrgentInline(this.#host, socket);
    const overlapped = spi.createOverlapped();
    const output = new Uint8Array(this.#firstBytes + 2 * AREA);
    const listener = this.#listener;
    const first = this.#firstBytes;
    const bytes = spi.ref(0);
    const isDone = winsock.AcceptEx(listener, socket, output, first, AREA, AREA, bytes, overlapped);
    if (isDone || winsock.WSAGetLastError() === spi.WSA_IO_PENDING) {
      this.#waiting.push({ socket, overlapped, output });
      return true;
    }
    winsock.closesocket(socket);
    return false;
  }

  get #firstBytes(): number {
    return this.#way === 'AcceptEx-with-data' ? FIRST_BYTES : 0;
  }
}
