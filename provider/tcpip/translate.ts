// Between Windows and Linux: constants, socket addresses, and one table from errno to Winsock error.
// Nothing else of this provider knows a Linux number. It must not know sockets or the kernel's state.
// Sources: W1.2, W2.2, W2.7 to W2.9, W15; Linux numbers from the kernel's user-space headers.

import { errno } from '../../native/errors.js';
import * as wsa from '../spi/errors.js';
import * as ws from '../spi/winsock2.js';
import { SOCKADDR_IN6_BYTES, SOCKADDR_IN_BYTES, sockaddrFamily } from '../spi/sockaddr.js';

export const LINUX = {
  AF_INET: 2,
  AF_INET6: 10,
  AF_UNSPEC: 0,
  SHUT_WR: 1,
  MSG_OOB: 0x1,
  MSG_PEEK: 0x2,
  MSG_CTRUNC: 0x8,
  MSG_TRUNC: 0x20,
  MSG_ERRQUEUE: 0x2000,
  SOL_SOCKET: 1,
  SO_REUSEADDR: 2,
  SO_ERROR: 4,
  SO_DONTROUTE: 5,
  SO_BROADCAST: 6,
  SO_SNDBUF: 7,
  SO_RCVBUF: 8,
  SO_KEEPALIVE: 9,
  SO_OOBINLINE: 10,
  SO_LINGER: 13,
  SO_PEEK_OFF: 42,
  IPPROTO_IP: 0,
  IP_TOS: 1,
  IP_TTL: 2,
  IP_HDRINCL: 3,
  IP_PKTINFO: 8,
  IP_RECVERR: 11,
  IP_RECVTTL: 12,
  IP_RECVTOS: 13,
  IPPROTO_TCP: 6,
  TCP_NODELAY: 1,
  TCP_KEEPIDLE: 4,
  TCP_KEEPINTVL: 5,
  TCP_KEEPCNT: 6,
  TCP_INFO: 11,
  IPPROTO_IPV6: 41,
  IPV6_RECVERR: 25,
  IPV6_V6ONLY: 26,
  IPV6_RECVPKTINFO: 49,
  IPV6_PKTINFO: 50,
  IPV6_RECVHOPLIMIT: 51,
  IPV6_HOPLIMIT: 52,
  IPV6_RECVTCLASS: 66,
  IPV6_TCLASS: 67,
} as const;

/** The readiness bit of urgent data, beside those that the reactor names. */
export const EPOLLPRI = 0x002;

/** Every errno a socket call can give, and what Winsock calls it. Anything else is WSAEINVAL. */
const ERRORS: ReadonlyMap<number, number> = new Map([
  [errno.EACCES, wsa.WSAEACCES],
  [errno.EPERM, wsa.WSAEACCES],
  [errno.EADDRINUSE, wsa.WSAEADDRINUSE],
  [errno.EADDRNOTAVAIL, wsa.WSAEADDRNOTAVAIL],
  [errno.EAFNOSUPPORT, wsa.WSAEAFNOSUPPORT],
  [errno.EAGAIN, wsa.WSAEWOULDBLOCK],
  [errno.EALREADY, wsa.WSAEALREADY],
  [errno.EBADF, wsa.WSAENOTSOCK],
  [errno.ECONNABORTED, wsa.WSAECONNABORTED],
  [errno.ECONNREFUSED, wsa.WSAECONNREFUSED],
  [errno.ECONNRESET, wsa.WSAECONNRESET],
  [errno.EDESTADDRREQ, wsa.WSAEDESTADDRREQ],
  [errno.EFAULT, wsa.WSAEFAULT],
  [errno.EHOSTUNREACH, wsa.WSAEHOSTUNREACH],
  [errno.EINPROGRESS, wsa.WSAEWOULDBLOCK],
  [errno.EINTR, wsa.WSAEINTR],
  [errno.EINVAL, wsa.WSAEINVAL],
  [errno.EISCONN, wsa.WSAEISCONN],
  [errno.EMFILE, wsa.WSAEMFILE],
  [errno.EMSGSIZE, wsa.WSAEMSGSIZE],
  [errno.ENETDOWN, wsa.WSAENETDOWN],
  [errno.ENETRESET, wsa.WSAENETRESET],
  [errno.ENETUNREACH, wsa.WSAENETUNREACH],
  [errno.ENFILE, wsa.WSAEMFILE],
  [errno.ENOBUFS, wsa.WSAENOBUFS],
  [errno.ENOMEM, wsa.WSAENOBUFS],
  [errno.ENOPROTOOPT, wsa.WSAENOPROTOOPT],
  [errno.ENOTCONN, wsa.WSAENOTCONN],
  [errno.ENOTSOCK, wsa.WSAENOTSOCK],
  [errno.EOPNOTSUPP, wsa.WSAEOPNOTSUPP],
  // The kernel says this where the peer's reset followed its own close. [W4.19]
  [errno.EPIPE, wsa.WSAECONNABORTED],
  [errno.EPROTONOSUPPORT, wsa.WSAEPROTONOSUPPORT],
  [errno.EPROTOTYPE, wsa.WSAEPROTOTYPE],
  [errno.ETIMEDOUT, wsa.WSAETIMEDOUT],
]);

/** The Winsock error of an errno, positive or negative. */
export function wsaErrorOfErrno(number: number): number {
  return ERRORS.get(Math.abs(number)) ?? wsa.WSAEINVAL;
}

/** The error of a transfer: a connection that timed out was broken, the call did not. [W4.20] */
export function transferError(number: number): number {
  const code = wsaErrorOfErrno(number);
  return code === wsa.WSAETIMEDOUT ? wsa.WSAECONNABORTED : code;
}

/**
 * The error of a connect. The kernel calls a way out of 127.0.0.0/8 an invalid argument; for the
 * application that network is out of reach.
 */
export function connectError(number: number): number {
  const code = wsaErrorOfErrno(number);
  return code === wsa.WSAEINVAL ? wsa.WSAENETUNREACH : code;
}

/**
 * The error of a message that the kernel would not send. The same invalid argument is an unreachable
 * network here; with control data it is the source address that is no good.
 */
export function messageError(number: number, hasControl: boolean): number {
  const code = wsaErrorOfErrno(number);
  if (code !== wsa.WSAEINVAL) return code;
  return hasControl ? wsa.WSAEADDRNOTAVAIL : wsa.WSAENETUNREACH;
}

/** The MSG_* bits that mean something to the kernel. */
export function linuxTransferFlags(flags: number): number {
  return (flags & ws.MSG_OOB ? LINUX.MSG_OOB : 0) | (flags & ws.MSG_PEEK ? LINUX.MSG_PEEK : 0);
}

export function linuxFamily(family: number): number {
  return family === ws.AF_INET6 ? LINUX.AF_INET6 : LINUX.AF_INET;
}

/** Bytes of a socket address of a Windows family. */
export function sockaddrBytes(family: number): number {
  return family === ws.AF_INET6 ? SOCKADDR_IN6_BYTES : SOCKADDR_IN_BYTES;
}

/** A copy of a Windows socket address for the kernel: both layouts differ in the family only. */
export function toLinuxSockaddr(name: Uint8Array): Uint8Array {
  const family = sockaddrFamily(name);
  const copy = name.slice(0, sockaddrBytes(family));
  copy[0] = linuxFamily(family);
  copy[1] = 0;
  return copy;
}

/** A copy of a socket address that the kernel wrote, of `length` bytes, for Windows. */
export function toWindowsSockaddr(name: Uint8Array, length: number): Uint8Array {
  const copy = name.slice(0, length);
  if (copy[0] === LINUX.AF_INET6) copy[0] = ws.AF_INET6;
  copy[1] = 0;
  return copy;
}
