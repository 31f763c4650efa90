// Datagram and raw sockets for the tests of messages: calls with few arguments, whose results a test
// compares at once. Asserts nothing but what every user of it takes for granted.

import { expect } from 'vitest';
import * as spi from '../../../provider/spi/index.js';
import { WSAID_WSARECVMSG, WSAID_WSASENDMSG } from '../../../provider/spi/ws2san.js';
import { lpErrno } from './fixture.js';
import type { Host, Machine } from './fixture.js';

export interface SocketKind {
  readonly family?: number;
  readonly type?: number;
  readonly protocol?: number;
  readonly flags?: number;
}

/** A socket, a datagram one over IPv4 unless told otherwise, unbound. */
export function messageSocket(host: Host, kind: SocketKind = {}): number {
  const { family = spi.AF_INET, type = spi.SOCK_DGRAM, protocol = 0 } = kind;
  const { flags = spi.WSA_FLAG_OVERLAPPED } = kind;
  const s = host.wsp.lpWSPSocket(family, type, protocol, null, 0, flags, lpErrno);
  expect(s).not.toBe(spi.INVALID_SOCKET);
  return s;
}

/** A datagram socket bound to an address, and its sockaddr. */
export function bound(host: Host, ip: string = host.address): { s: number; name: Uint8Array } {
  const isIpv6 = ip.includes(':');
  const s = messageSocket(host, isIpv6 ? { family: spi.AF_INET6 } : {});
  return { s, name: bindTo(host, s, isIpv6 ? spi.sockaddrIn6(ip, 0) : spi.sockaddrIn(ip, 0)) };
}

/** Binds and returns the name with the port that was given. */
export function bindTo(host: Host, s: number, name: Uint8Array): Uint8Array {
  expect(host.wsp.lpWSPBind(s, name, name.length, lpErrno)).toBe(0);
  const told = new Uint8Array(name.length);
  expect(host.wsp.lpWSPGetSockName(s, told, spi.ref(told.length), lpErrno)).toBe(0);
  return told;
}

export function buffersOf(...parts: (Uint8Array | string)[]): spi.WSABUF[] {
  return parts.map((part) => {
    const buf = typeof part === 'string' ? Buffer.from(part) : part;
    return { len: buf.length, buf };
  });
}

export interface SendOptions {
  readonly flags?: number;
  readonly length?: number;
  readonly overlapped?: spi.WSAOVERLAPPED | null;
  readonly routine?: spi.WSAOVERLAPPED_COMPLETION_ROUTINE | null;
  readonly thread?: spi.WSATHREADID | null;
  readonly lpCount?: spi.Ref<number> | null;
}

/** The count that WSPSendTo wrote, or SOCKET_ERROR; -2 for success without a count. */
export function sendTo(
  host: Host,
  s: number,
  data: string | Uint8Array | spi.WSABUF[],
  to: Uint8Array | null,
  options: SendOptions = {},
): number {
  const { flags = 0, overlapped = null, routine = null, thread = null } = options;
  const lpCount = options.lpCount === undefined ? spi.ref(-2) : options.lpCount;
  const buffers = Array.isArray(data) ? data : buffersOf(data);
  const length = options.length ?? to?.length ?? 0;
  const { lpWSPSendTo } = host.wsp;
  const count = buffers.length;
  const sent = lpWSPSendTo(
    s,
    buffers,
    count,
    lpCount,
    flags,
    to,
    length,
    overlapped,
    routine,
    thread,
    lpErrno,
  );
  return sent === 0 ? (lpCount?.value ?? -2) : sent;
}

export interface Received {
  readonly result: number;
  readonly error: number;
  readonly count: number;
  readonly text: string;
  readonly from: spi.Endpoint | null;
  readonly fromLength: number;
}

/** One WSPRecvFrom, which blocks unless the socket does not. */
export function receiveFrom(
  host: Host,
  s: number,
  room: number | Uint8Array = 64,
  options: { readonly flags?: number; readonly fromRoom?: number } = {},
): Received {
  const buf = typeof room === 'number' ? new Uint8Array(room) : room;
  const { flags = 0, fromRoom = spi.SOCKADDR_STORAGE_BYTES } = options;
  const from = new Uint8Array(fromRoom);
  const fromLength = spi.ref(fromRoom);
  const count = spi.ref(-1);
  const into = buffersOf(buf);
  const { lpWSPRecvFrom } = host.wsp;
  lpErrno.value = 0;
  const lpFlags = spi.ref(flags);
  const result = lpWSPRecvFrom(
    s,
    into,
    1,
    count,
    lpFlags,
    from,
    fromLength,
    null,
    null,
    null,
    lpErrno,
  );
  return {
    result,
    error: result === 0 ? 0 : lpErrno.value,
    count: count.value,
    text: Buffer.from(buf.subarray(0, Math.max(0, count.value))).toString('latin1'),
    from: spi.parseSockaddr(from, fromLength.value),
    fromLength: fromLength.value,
  };
}

/** A function fetched by its GUID, as a caller of the SPI fetches it. */
export function extension(host: Host, guid: string): unknown {
  const box: { value: ((...args: never[]) => unknown) | null } = { value: null };
  const lpcb = spi.ref(-1);
  const { lpWSPIoctl } = host.wsp;
  const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
  const input = spi.guidBytes(guid);
  expect(
    lpWSPIoctl(spi.INVALID_SOCKET, code, input, 16, box, 8, lpcb, null, null, null, lpErrno),
  ).toBe(0);
  expect(lpcb.value).toBe(8);
  return box.value;
}

export function wsaMsg(fields: Partial<spi.WSAMSG>): spi.WSAMSG {
  return {
    name: null,
    namelen: fields.name?.length ?? 0,
    lpBuffers: null,
    dwBufferCount: fields.lpBuffers?.length ?? 0,
    Control: { len: 0, buf: null },
    dwFlags: 0,
    ...fields,
  };
}

/** The count that WSASendMsg's half wrote, or SOCKET_ERROR; -2 for success without a count. */
export function sendMsg(
  host: Host,
  s: number,
  msg: spi.WSAMSG | null,
  options: SendOptions = {},
): number {
  const { flags = 0, overlapped = null, routine = null, thread = null } = options;
  const lpCount = options.lpCount === undefined ? spi.ref(-2) : options.lpCount;
  const call = extension(host, WSAID_WSASENDMSG) as spi.LPFN_WSPSENDMSG;
  const sent = call(s, msg, flags, lpCount, overlapped, routine, thread, lpErrno);
  return sent === 0 ? (lpCount?.value ?? -2) : sent;
}

/** The result of WSARecvMsg's half; `count` is written as the function does. */
export function recvMsg(
  host: Host,
  s: number,
  msg: spi.WSAMSG | null,
  count: spi.Ref<number> | null,
  overlapped: spi.WSAOVERLAPPED | null = null,
  routine: spi.WSAOVERLAPPED_COMPLETION_ROUTINE | null = null,
  thread: spi.WSATHREADID | null = null,
): number {
  const call = extension(host, WSAID_WSARECVMSG) as spi.LPFN_WSPRECVMSG;
  return call(s, msg, count, overlapped, routine, thread, lpErrno);
}

/** Control data of these messages. */
export function controlOf(...messages: spi.ControlMessage[]): spi.WSABUF {
  const room = messages.reduce((sum, { data }) => sum + spi.CMSG_SPACE(data.length), 0);
  const buf = new Uint8Array(room);
  let offset: number | null = 0;
  for (const message of messages) offset = spi.writeControlMessage(buf, offset ?? 0, message);
  return { len: room, buf };
}

/** in_pktinfo with a source address. */
export function packetInfo(ip: string): spi.ControlMessage {
  const data = new Uint8Array(8);
  new DataView(data.buffer).setUint32(0, spi.ipv4Number(ip) ?? 0);
  return { level: spi.IPPROTO_IP, type: spi.IP_PKTINFO, data };
}

/** in6_pktinfo with a source address. */
export function packetInfo6(ip: string): spi.ControlMessage {
  const data = new Uint8Array(20);
  data.set(spi.ipv6Bytes(ip) ?? []);
  return { level: spi.IPPROTO_IPV6, type: spi.IPV6_PKTINFO, data };
}

export function ioctl(
  host: Host,
  s: number,
  code: number,
  input: Uint8Array | null,
  output: Uint8Array | null = null,
): number {
  const { lpWSPIoctl } = host.wsp;
  const [cbIn, cbOut] = [input?.length ?? 0, output?.length ?? 0];
  const lpcb = spi.ref(0);
  return lpWSPIoctl(s, code, input, cbIn, output, cbOut, lpcb, null, null, null, lpErrno);
}

/** What the kernel has for a socket now, without waiting: how many bytes FIONREAD counts. */
export function queued(host: Host, s: number): number {
  const output = new Uint8Array(4);
  expect(ioctl(host, s, spi.FIONREAD, null, output)).toBe(0);
  return new DataView(output.buffer).getUint32(0, true);
}

export function ended(machine: Machine, overlapped: spi.WSAOVERLAPPED): void {
  machine.until(() => overlapped.Internal !== spi.WSS_OPERATION_IN_PROGRESS);
}
