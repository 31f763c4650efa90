// What WSASocket makes of family, type and protocol: which are refused with what, and what a zero
// stands for. Source: W3.3.

import * as wsa from '../provider/spi/error-codes.js';
import type { WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';

export interface SocketKind {
  readonly family: number;
  readonly type: number;
  readonly protocol: number;
}

const TYPES: readonly number[] = [
  ws.SOCK_STREAM,
  ws.SOCK_DGRAM,
  ws.SOCK_RAW,
  ws.SOCK_RDM,
  ws.SOCK_SEQPACKET,
];
const TYPE_OF: ReadonlyMap<number, number> = new Map([
  [ws.IPPROTO_TCP, ws.SOCK_STREAM],
  [ws.IPPROTO_UDP, ws.SOCK_DGRAM],
]);

const KNOWN_FLAGS =
  ws.WSA_FLAG_OVERLAPPED | ws.WSA_FLAG_NO_HANDLE_INHERIT | ws.WSA_FLAG_REGISTERED_IO;

/**
 * What WSASocket says of its group and flags: 0, or WSAEINVAL. There are no socket groups here, no
 * multipoint sockets, and no flag beyond those of the header that mean anything. [W2.5, W3.1]
 */
export function creationError(group: number, flags: number): number {
  return group === 0 && (flags & ~KNOWN_FLAGS) === 0 ? 0 : wsa.WSAEINVAL;
}

/** The kind of socket meant, or the error. The type is looked at before the family. */
export function socketKind(
  af: number,
  type: number,
  protocol: number,
  info: WSAPROTOCOL_INFO | null,
): SocketKind | number {
  const from = ws.FROM_PROTOCOL_INFO;
  if ((af === from || type === from || protocol === from) && info === null) return wsa.WSAEFAULT;
  const wantedType = type === from ? (info?.iSocketType ?? 0) : type;
  const wantedProtocol = protocol === from ? (info?.iProtocol ?? 0) : protocol;
  const wantedFamily = af === from ? (info?.iAddressFamily ?? 0) : af;
  if (wantedType !== 0 && !TYPES.includes(wantedType)) return wsa.WSAESOCKTNOSUPPORT;
  const family = familyOf(wantedFamily, wantedProtocol);
  if (family === null) return wantedFamily === 0 ? wsa.WSAEINVAL : wsa.WSAEAFNOSUPPORT;
  const resolved = typeAndProtocol(wantedType, wantedProtocol);
  if (resolved === null) return wsa.WSAEPROTONOSUPPORT;
  return { family, type: resolved.type, protocol: resolved.protocol };
}

function familyOf(af: number, protocol: number): number | null {
  if (af === ws.AF_INET || af === ws.AF_INET6) return af;
  // An unspecified family is IPv4's if the protocol says anything.
  return af === ws.AF_UNSPEC && TYPE_OF.has(protocol) ? ws.AF_INET : null;
}

function typeAndProtocol(
  type: number,
  protocol: number,
): { type: number; protocol: number } | null {
  if (type === 0 && protocol === 0) return { type: ws.SOCK_STREAM, protocol: ws.IPPROTO_TCP };
  if (type === ws.SOCK_RAW) return { type, protocol };
  const wanted = type === 0 ? TYPE_OF.get(protocol) : type;
  if (wanted === undefined) return null;
  for (const [known, typeOfKnown] of TYPE_OF) {
    if (typeOfKnown === wanted && (protocol === 0 || protocol === known)) {
      return { type: wanted, protocol: known };
    }
  }
  return null;
}
