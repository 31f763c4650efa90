// The application of a scripted host: Winsock functions by name, with the names that a script gives to
// sockets and operations. It must not know the script.

import * as spi from '../../provider/spi/index.js';
import type { SimHost } from '../sim/host.js';

const FIRST_ADDRESS = 0x7f4d0001;

type Call = (args: readonly string[]) => string;

/** What WSADuplicateSocket has filled in, by the names of a script: how it gets from process to process. */
export type Offers = Map<string, spi.WSAPROTOCOL_INFO>;

export class Application {
  readonly #host: SimHost;
  readonly #offers: Offers;
  readonly #sockets = new Map<string, number>();
  readonly #operations = new Map<string, spi.WSAOVERLAPPED>();

  constructor(host: SimHost, offers: Offers) {
    this.#host = host;
    this.#offers = offers;
  }

  /** What came of a call, as a script writes it: `ok`, a number, or the name of an error. */
  call(name: string, args: readonly string[]): string {
    const call = this.#calls[name];
    if (call === undefined) return `there is no call ${name}`;
    return call(args);
  }

  /** What became of an operation: bytes, or the name of an error. */
  resultOf(name: string): string {
    const overlapped = this.#operations.get(name);
    if (overlapped === undefined) return `there is no operation ${name}`;
    if (overlapped.Internal === spi.WSS_OPERATION_IN_PROGRESS) return 'WSA_IO_PENDING';
    const error = spi.wsaErrorOfStatus(overlapped.Internal);
    return error === 0 ? String(overlapped.InternalHigh) : spi.errorName(error);
  }

  readonly #calls: Readonly<Record<string, Call>> = {
    WSAStartup: () => this.#ok(this.#host.start()),
    WSACleanup: () => this.#ok(this.#host.winsock.WSACleanup()),
    socket: ([name = '']) => {
      const { winsock } = this.#host;
      const s = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, spi.IPPROTO_TCP);
      if (s === spi.INVALID_SOCKET) return this.#error();
      winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
      this.#sockets.set(name, s);
      return 'ok';
    },
    WSADuplicateSocket: ([s = '', to = '', name = '']) => {
      const info = spi.emptyProtocolInfo();
      this.#offers.set(name, info);
      const { winsock } = this.#host;
      return this.#ok(winsock.WSADuplicateSocket(this.#socket(s), processOf(to), info));
    },
    WSASocket: ([name = '', as = '']) => {
      const { winsock } = this.#host;
      const from = spi.FROM_PROTOCOL_INFO;
      const info = this.#offers.get(name) ?? null;
      const s = winsock.WSASocket(from, from, from, info, 0, spi.WSA_FLAG_OVERLAPPED);
      if (s === spi.INVALID_SOCKET) return this.#error();
      winsock.ioctlsocket(s, spi.FIONBIO, spi.ref(1));
      this.#sockets.set(as, s);
      return 'ok';
    },
    bind: ([s = '', at = '']) => {
      const name = nameOf(at);
      return this.#ok(this.#host.winsock.bind(this.#socket(s), name, name.length));
    },
    listen: ([s = '', backlog = '5']) =>
      this.#ok(this.#host.winsock.listen(this.#socket(s), Number(backlog))),
    connect: ([s = '', to = '']) => {
      const name = nameOf(to);
      return this.#ok(this.#host.winsock.connect(this.#socket(s), name, name.length));
    },
    accept: ([listener = '', name = '']) => {
      const s = this.#host.winsock.accept(this.#socket(listener), null, null);
      if (s === spi.INVALID_SOCKET) return this.#error();
      this.#sockets.set(name, s);
      return 'ok';
    },
    send: ([s = '', length = '', flag = '']) => {
      const memory = contents(Number(length));
      return this.#count(
        this.#host.winsock.send(this.#socket(s), memory, memory.length, flagsOf(flag)),
      );
    },
    recv: ([s = '', length = '', flag = '']) => {
      const memory = new Uint8Array(Number(length));
      return this.#count(
        this.#host.winsock.recv(this.#socket(s), memory, memory.length, flagsOf(flag)),
      );
    },
    WSASend: ([s = '', operation = '', length = '', flag = '']) => {
      const buf = contents(Number(length));
      const overlapped = this.#begin(operation);
      const list = [{ len: buf.length, buf }];
      const { winsock } = this.#host;
      return this.#ok(
        winsock.WSASend(this.#socket(s), list, 1, null, flagsOf(flag), overlapped, null),
      );
    },
    WSARecv: ([s = '', operation = '', length = '', flag = '']) => {
      const buf = new Uint8Array(Number(length));
      const overlapped = this.#begin(operation);
      const list = [{ len: buf.length, buf }];
      const flags = spi.ref(flagsOf(flag));
      const { winsock } = this.#host;
      return this.#ok(winsock.WSARecv(this.#socket(s), list, 1, null, flags, overlapped, null));
    },
    shutdown: ([s = '']) => this.#ok(this.#host.winsock.shutdown(this.#socket(s), spi.SD_SEND)),
    closesocket: ([s = '']) => this.#ok(this.#host.winsock.closesocket(this.#socket(s))),
  };

  #begin(name: string): spi.WSAOVERLAPPED {
    const overlapped = spi.createOverlapped();
    this.#operations.set(name, overlapped);
    return overlapped;
  }

  #socket(name: string): number {
    return this.#sockets.get(name) ?? spi.INVALID_SOCKET;
  }

  #ok(result: number): string {
    return result === 0 ? 'ok' : this.#error();
  }

  #count(result: number): string {
    return result >= 0 ? String(result) : this.#error();
  }

  #error(): string {
    return spi.errorName(this.#host.winsock.WSAGetLastError());
  }
}

/** The process of a host by letter. */
function processOf(letter: string): number {
  return letter.charCodeAt(0) - 'a'.charCodeAt(0) + 1;
}

/** `b:4000`: a host by letter; `any:4000`: every address of the host. */
function nameOf(text: string): Uint8Array {
  const [host = '', port = ''] = text.split(':');
  const address = host === 'any' ? 0 : FIRST_ADDRESS + host.charCodeAt(0) - 'a'.charCodeAt(0);
  return spi.sockaddrIn(spi.ipv4Text(address), Number(port));
}

function flagsOf(flag: string): number {
  const flags: Readonly<Record<string, number>> = {
    MSG_OOB: spi.MSG_OOB,
    MSG_PEEK: spi.MSG_PEEK,
    MSG_WAITALL: spi.MSG_WAITALL,
  };
  return flags[flag] ?? 0;
}

function contents(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index & 0xff);
}
