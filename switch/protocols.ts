// The protocols that WSAEnumProtocols lists: TCP/IP's, of both families. SAN providers are hidden and
// never listed. Sources: INST-03, W2.12, DATA-04, W3.3.

import { emptyProtocolInfo, TCPIP_PROVIDER_ID } from '../provider/spi/protocol-info.js';
import { SOCKADDR_IN6_BYTES, SOCKADDR_IN_BYTES } from '../provider/spi/sockaddr.js';
import type { WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';

/** sizeof(WSAPROTOCOL_INFOW): what one entry takes in the caller's buffer. [W2.13] */
export const PROTOCOL_INFO_BYTES = 628;

const DATAGRAM_FLAGS =
  ws.XP1_CONNECTIONLESS |
  ws.XP1_MESSAGE_ORIENTED |
  ws.XP1_SUPPORT_BROADCAST |
  ws.XP1_SUPPORT_MULTIPOINT |
  ws.XP1_IFS_HANDLES;

/** UDP over IPv4: what a datagram may hold beside its headers. [W4.9] */
const UDP_BYTES_MAX = 65_507;
const RAW_BYTES_MAX = 65_467;
const FIRST_DATAGRAM_ENTRY = 1002;

/** Every entry; `tcp` is that of TCP over IPv4, which has the first catalog number. */
export function installedProtocols(tcp: WSAPROTOCOL_INFO): WSAPROTOCOL_INFO[] {
  const entries = [tcp];
  for (const family of [ws.AF_INET, ws.AF_INET6]) {
    const version = family === ws.AF_INET ? 'IP' : 'IPv6';
    if (family === ws.AF_INET6) {
      const { dwServiceFlags1 } = tcp;
      const over = { family, type: ws.SOCK_STREAM, protocol: ws.IPPROTO_TCP, bytesMax: 0 };
      entries.push(entry(`TCP/${version}`, dwServiceFlags1, over, entries.length));
    }
    const udp = { family, type: ws.SOCK_DGRAM, protocol: ws.IPPROTO_UDP, bytesMax: UDP_BYTES_MAX };
    entries.push(entry(`UDP/${version}`, DATAGRAM_FLAGS, udp, entries.length));
    const raw = { family, type: ws.SOCK_RAW, protocol: ws.IPPROTO_IP, bytesMax: RAW_BYTES_MAX };
    entries.push(entry(`RAW/${version}`, DATAGRAM_FLAGS, raw, entries.length));
  }
  return entries;
}

function entry(
  name: string,
  flags: number,
  kind: { family: number; type: number; protocol: number; bytesMax: number },
  index: number,
): WSAPROTOCOL_INFO {
  const info = emptyProtocolInfo();
  const bytes = kind.family === ws.AF_INET ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES;
  info.dwServiceFlags1 = flags;
  info.dwProviderFlags = kind.type === ws.SOCK_RAW ? 0 : ws.PFL_MATCHES_PROTOCOL_ZERO;
  info.ProviderId = TCPIP_PROVIDER_ID;
  info.dwCatalogEntryId = FIRST_DATAGRAM_ENTRY + index - 1;
  info.ProtocolChain.ChainLen = ws.BASE_PROTOCOL;
  info.iVersion = 2;
  info.iAddressFamily = kind.family;
  info.iMaxSockAddr = bytes;
  info.iMinSockAddr = bytes;
  info.iSocketType = kind.type;
  info.iProtocol = kind.protocol;
  info.iProtocolMaxOffset = kind.type === ws.SOCK_RAW ? ws.IPPROTO_RAW : 0;
  info.dwMessageSize = kind.bytesMax;
  info.szProtocol = name;
  return info;
}
