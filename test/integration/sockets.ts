// Sockets of the base provider for tests above the whole stack: one host, datagram sockets, streams
// that TCP/IP carries (a host's own address never goes through a SAN), and calls with their errors.

import { expect } from 'vitest';
import type { Host, HostOptions, Winsock } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { A, Deadline, listen, must, newFabric, open } from './fixture.js';

export async function oneHost(options: Partial<HostOptions> = {}): Promise<Host> {
  return open({ fabric: newFabric(), address: A, engine: 'inline', ...options });
}

export function udp({ winsock }: Host, family: number = spi.AF_INET): number {
  return must(winsock, 'socket', winsock.socket(family, spi.SOCK_DGRAM, spi.IPPROTO_UDP));
}

/** A datagram socket bound to a port that the kernel has chosen, and its name. */
export function boundUdp(
  host: Host,
  address: string = host.address,
): { s: number; at: Uint8Array } {
  const s = udp(host);
  const at = spi.sockaddrIn(address, 0);
  must(host.winsock, 'bind', host.winsock.bind(s, at, at.length));
  must(host.winsock, 'getsockname', host.winsock.getsockname(s, at, spi.ref(at.length)));
  return { s, at };
}

/** Both ends of a stream that TCP/IP carries, on one host. */
export function tcpPair(host: Host): { client: number; server: number } {
  const { winsock } = host;
  const { listener, port } = listen(host);
  const client = winsock.socket(spi.AF_INET, spi.SOCK_STREAM, 0);
  const name = spi.sockaddrIn(host.address, port);
  must(winsock, 'connect', winsock.connect(client, name, name.length));
  const server = must(winsock, 'accept', winsock.accept(listener, null, null));
  winsock.closesocket(listener);
  return { client, server };
}

export function buffers(...parts: Uint8Array[]): spi.WSABUF[] {
  return parts.map((buf) => ({ len: buf.length, buf }));
}

export function bytesOf(text: string): Uint8Array {
  return Buffer.from(text);
}

export function message(parts: Partial<spi.WSAMSG>): spi.WSAMSG {
  return {
    name: null,
    namelen: 0,
    lpBuffers: null,
    dwBufferCount: 0,
    Control: { len: 0, buf: null },
    dwFlags: 0,
    ...parts,
  };
}

/** The last error of a call that has to fail. */
export function failureOf(winsock: Winsock, call: () => unknown): number {
  winsock.WSASetLastError(0);
  const result = call();
  expect([spi.SOCKET_ERROR, spi.INVALID_SOCKET, false]).toContain(result);
  return winsock.WSAGetLastError();
}

/** Drives the host until `done()` holds. */
export function drive(host: Host, done: () => boolean, what: string): void {
  const deadline = new Deadline(what);
  while (!done()) {
    deadline.check();
    host.winsock.SleepEx(1, false);
  }
}

export function setInt({ winsock }: Host, s: number, level: number, name: number, value: number) {
  const bytes = Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24);
  expect(winsock.setsockopt(s, level, name, bytes, 4)).toBe(0);
}
