// Socket addresses as text and back: WSPAddressToString and WSPStringToAddress. It must not know
// sockets. Source: SPI-03; the forms are 1.2.3.4, 1.2.3.4:80, ::1 and [::1]:80.

import { WSAEFAULT, WSAEINVAL } from '../spi/errors.js';
import { parseSockaddr, sockaddrIn, sockaddrIn6 } from '../spi/sockaddr.js';
import { ipv4Number, ipv6Bytes } from '../spi/sockaddr.js';
import { fail } from '../spi/ws2spi.js';
import type { LPWSPADDRESSTOSTRING, LPWSPSTRINGTOADDRESS } from '../spi/ws2spi.js';
import { AF_INET, AF_INET6 } from '../spi/winsock2.js';
import { answerName } from './naming.js';

const PORT_MAX = 0xffff;

/** The text of an address, with the port if it has one; null when it is none. */
function textOf(name: Uint8Array, length: number): string | null {
  const endpoint = parseSockaddr(name, length);
  if (endpoint === null) return null;
  const { family, ip, port } = endpoint;
  if (port === 0) return ip;
  return family === AF_INET6 ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function portOf(text: string | undefined): number | null {
  if (text === undefined) return 0;
  if (!/^[0-9]{1,5}$/.test(text)) return null;
  const port = Number(text);
  return port <= PORT_MAX ? port : null;
}

/** The address that a text of the given family means; null when it means none. */
function nameOf(text: string, family: number): Uint8Array | null {
  const pattern = family === AF_INET6 ? /^(?:\[(.*)\]:(.*)|(.*))$/ : /^(?:([^:]*):(.*)|([^:]*))$/;
  const match = pattern.exec(text);
  const port = portOf(match?.[2]);
  const ip = match?.[1] ?? match?.[3] ?? '';
  if (port === null) return null;
  if (family === AF_INET) return ipv4Number(ip) === null ? null : sockaddrIn(ip, port);
  return ipv6Bytes(ip) === null ? null : sockaddrIn6(ip, port);
}

/** The length in characters counts a terminating zero, as in C. */
export const addressToString: LPWSPADDRESSTOSTRING = (
  lpsaAddress,
  dwAddressLength,
  _info,
  lpszAddressString,
  lpdwAddressStringLength,
  lpErrno,
) => {
  if (lpsaAddress === null) return fail(lpErrno, WSAEFAULT);
  const text = textOf(lpsaAddress, dwAddressLength);
  if (text === null) return fail(lpErrno, WSAEINVAL);
  const room = lpdwAddressStringLength.value;
  lpdwAddressStringLength.value = text.length + 1;
  if (room < text.length + 1) return fail(lpErrno, WSAEFAULT);
  lpszAddressString.value = text;
  return 0;
};

export const stringToAddress: LPWSPSTRINGTOADDRESS = (
  text,
  family,
  _info,
  lpAddress,
  lpAddressLength,
  lpErrno,
) => {
  if (family !== AF_INET && family !== AF_INET6) return fail(lpErrno, WSAEINVAL);
  const name = nameOf(text, family);
  if (name === null) return fail(lpErrno, WSAEINVAL);
  const error = answerName(name, lpAddress, lpAddressLength);
  return error === 0 ? 0 : fail(lpErrno, error);
};
