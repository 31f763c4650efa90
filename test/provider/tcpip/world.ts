// A connected pair of hosts, and overlapped operations on it, for the tests of transfers.

import * as spi from '../../../provider/spi/index.js';
import { lpErrno, onMachine } from './fixture.js';
import type { Host, Machine } from './fixture.js';

export const A = '127.91.1.1';
export const B = '127.91.1.2';
export const THREAD: spi.WSATHREADID = { ThreadHandle: 77, Reserved: 0 };

export interface World {
  machine: Machine;
  a: Host;
  b: Host;
  client: number;
  server: number;
}

export function connected(body: (world: World) => void, profile?: spi.ProfileName): void {
  onMachine((machine) => {
    const a = machine.host(A, profile);
    const b = machine.host(B, profile);
    body({ machine, a, b, ...machine.pair(a, b) });
  });
}

export function postReceive(
  host: Host,
  s: number,
  buf: Uint8Array,
  overlapped: spi.WSAOVERLAPPED,
  flags = 0,
): { result: number; count: spi.Ref<number>; flags: spi.Ref<number> } {
  const count = spi.ref(-1);
  const lpFlags = spi.ref(flags);
  const buffers: spi.WSABUF[] = [{ len: buf.length, buf }];
  const { lpWSPRecv } = host.wsp;
  const result = lpWSPRecv(s, buffers, 1, count, lpFlags, overlapped, null, null, lpErrno);
  // The array is the caller's again: nothing may look at it later.
  buffers[0] = { len: 1, buf: null };
  return { result, count, flags: lpFlags };
}

export function postSend(
  host: Host,
  s: number,
  buf: Uint8Array,
  overlapped: spi.WSAOVERLAPPED,
): number {
  const buffers = [{ len: buf.length, buf }];
  const { lpWSPSend } = host.wsp;
  return lpWSPSend(s, buffers, 1, null, 0, overlapped, null, null, lpErrno);
}

export function overlappedResult(host: Host, s: number, overlapped: spi.WSAOVERLAPPED): number {
  const bytes = spi.ref(-1);
  const done = host.wsp.lpWSPGetOverlappedResult(s, overlapped, bytes, false, spi.ref(0), lpErrno);
  return done ? bytes.value : spi.SOCKET_ERROR;
}

/** More than both kernel buffers of a loopback connection hold. */
export const MUCH = 24 * 1024 * 1024;
