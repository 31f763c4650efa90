// Byte order and address text: pure functions, usable before WSAStartup as on Windows, where only
// their error reporting needs it. Source: winsock2.h and ws2tcpip.h by name and parameter order.

import * as wsa from '../../provider/spi/error-codes.js';
import { ipv4Number, ipv4Text, ipv6Bytes, ipv6Text } from '../../provider/spi/sockaddr.js';
import type { Ref } from '../../provider/spi/winsock2.js';
import { AF_INET, AF_INET6 } from '../../provider/spi/winsock2.js';
import type { ApiState } from './last-error.js';

/** What inet_addr answers to text that is no address. */
export const INADDR_NONE = 0xffffffff;

export interface AddressFunctions {
  htons(hostshort: number): number;
  ntohs(netshort: number): number;
  htonl(hostlong: number): number;
  ntohl(netlong: number): number;
  /** Dotted text as a number in network order; INADDR_NONE when it is none. */
  inet_addr(cp: string): number;
  /** 1 with the bytes in pAddrBuf, 0 for text that is no address, SOCKET_ERROR: WSAEAFNOSUPPORT. */
  InetPton(Family: number, pszAddrString: string, pAddrBuf: Uint8Array | null): number;
  /** The text, also in pStringBuf if given; null: WSAEAFNOSUPPORT, WSAEFAULT, WSA_INVALID_PARAMETER. */
  InetNtop(
    Family: number,
    pAddr: Uint8Array | null,
    pStringBuf: Ref<string> | null,
    StringBufSize: number,
  ): string | null;
}

const swap16 = (value: number): number => ((value & 0xff) << 8) | ((value >>> 8) & 0xff);
const swap32 = (value: number): number =>
  ((swap16(value & 0xffff) << 16) | swap16(value >>> 16)) >>> 0;

export function addressFunctions(state: ApiState): AddressFunctions {
  return {
    htons: swap16,
    ntohs: swap16,
    htonl: swap32,
    ntohl: swap32,
    inet_addr(cp) {
      const address = ipv4Number(cp);
      return address === null ? INADDR_NONE : swap32(address);
    },
    InetPton(Family, pszAddrString, pAddrBuf) {
      if (Family !== AF_INET && Family !== AF_INET6) return state.fail(wsa.WSAEAFNOSUPPORT);
      const bytes = Family === AF_INET ? ipv4Bytes(pszAddrString) : ipv6Bytes(pszAddrString);
      if (pAddrBuf === null) return state.fail(wsa.WSAEFAULT);
      if (bytes === null) return 0;
      if (pAddrBuf.length < bytes.length) return state.fail(wsa.WSAEFAULT);
      pAddrBuf.set(bytes);
      return 1;
    },
    InetNtop(Family, pAddr, pStringBuf, StringBufSize) {
      const failed = (code: number): null => {
        state.lastError = code;
        return null;
      };
      if (Family !== AF_INET && Family !== AF_INET6) return failed(wsa.WSAEAFNOSUPPORT);
      const size = Family === AF_INET ? 4 : 16;
      if (pAddr === null || pAddr.length < size) return failed(wsa.WSAEFAULT);
      const text = Family === AF_INET ? ipv4Text(numberOf(pAddr)) : ipv6Text(pAddr.subarray(0, 16));
      if (StringBufSize <= text.length) return failed(wsa.WSA_INVALID_PARAMETER);
      if (pStringBuf !== null) pStringBuf.value = text;
      return text;
    },
  };
}

function ipv4Bytes(text: string): Uint8Array | null {
  const address = ipv4Number(text);
  if (address === null) return null;
  return Uint8Array.of(address >>> 24, address >>> 16, address >>> 8, address);
}

function numberOf(bytes: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}
