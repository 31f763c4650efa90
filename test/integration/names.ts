// The names of a socket, as text: of both ends, or the error of asking.

import type { Winsock } from '../../index.js';
import * as spi from '../../provider/spi/index.js';

export interface Names {
  readonly local: string;
  readonly peer: string;
}

/** "address:port" of both ends; the number of the error where there is none. */
export function namesOf(winsock: Winsock, s: number): Names {
  return { local: name(winsock, 'getsockname', s), peer: name(winsock, 'getpeername', s) };
}

function name(winsock: Winsock, call: 'getsockname' | 'getpeername', s: number): string {
  const bytes = new Uint8Array(32);
  if (winsock[call](s, bytes, spi.ref(bytes.length)) !== 0) {
    return String(winsock.WSAGetLastError());
  }
  return `${spi.ipv4Text(spi.sockaddrInAddress(bytes))}:${spi.sockaddrPort(bytes)}`;
}
