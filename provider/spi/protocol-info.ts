// Catalog entries: the one of TCP/IP, which every SAN provider is started with, and the one a SAN
// provider is installed with. Sources: INIT-03, INST-03, INST-13 to INST-15, DATA-04, DATA-05.

import { SOCKADDR_IN_BYTES } from './sockaddr.js';
import * as ws from './winsock2.js';

/** An entry of zeros, such as WSPDuplicateSocket fills in. The caller owns it. */
export function emptyProtocolInfo(): ws.WSAPROTOCOL_INFO {
  return {
    dwServiceFlags1: 0,
    dwServiceFlags2: 0,
    dwServiceFlags3: 0,
    dwServiceFlags4: 0,
    dwProviderFlags: 0,
    ProviderId: '00000000-0000-0000-0000-000000000000',
    dwCatalogEntryId: 0,
    ProtocolChain: { ChainLen: 0, ChainEntries: new Array<number>(ws.MAX_PROTOCOL_CHAIN).fill(0) },
    iVersion: 0,
    iAddressFamily: 0,
    iMaxSockAddr: 0,
    iMinSockAddr: 0,
    iSocketType: 0,
    iProtocol: 0,
    iProtocolMaxOffset: 0,
    iNetworkByteOrder: 0,
    iSecurityScheme: 0,
    dwMessageSize: 0,
    dwProviderReserved: 0,
    szProtocol: '',
  };
}

/** The provider id of the base TCP/IP provider in every Windows catalog. */
export const TCPIP_PROVIDER_ID = 'e70f1aa0-ab8b-11cf-8ca3-00805f48a192';

/** TCP over IPv4 by the base provider: what WSPStartupEx of a SAN provider receives. [INIT-03] */
export function tcpProtocolInfo(): ws.WSAPROTOCOL_INFO {
  return {
    ...streamOverTcp(),
    dwServiceFlags1:
      ws.XP1_GUARANTEED_DELIVERY |
      ws.XP1_GUARANTEED_ORDER |
      ws.XP1_GRACEFUL_CLOSE |
      ws.XP1_EXPEDITED_DATA |
      ws.XP1_IFS_HANDLES,
    dwProviderFlags: ws.PFL_MATCHES_PROTOCOL_ZERO,
    ProviderId: TCPIP_PROVIDER_ID,
    dwCatalogEntryId: 1001,
    szProtocol: 'TCP/IP',
  };
}

/**
 * The entry a SAN provider is installed with: hidden, message-oriented underneath. [INST-03,
 * INST-15]
 */
export function sanProtocolInfo(provider: {
  readonly providerId: string;
  readonly name: string;
  readonly qos: boolean;
}): ws.WSAPROTOCOL_INFO {
  const flags =
    ws.XP1_GUARANTEED_DELIVERY |
    ws.XP1_GUARANTEED_ORDER |
    ws.XP1_MESSAGE_ORIENTED |
    ws.XP1_GRACEFUL_CLOSE;
  return {
    ...streamOverTcp(),
    dwServiceFlags1: provider.qos ? flags | ws.XP1_QOS_SUPPORTED : flags,
    dwProviderFlags: ws.PFL_HIDDEN,
    ProviderId: provider.providerId,
    dwMessageSize: 0xffffffff,
    szProtocol: provider.name.slice(0, ws.WSAPROTOCOL_LEN),
  };
}

function streamOverTcp(): ws.WSAPROTOCOL_INFO {
  const info = emptyProtocolInfo();
  info.ProtocolChain.ChainLen = ws.BASE_PROTOCOL;
  info.iVersion = 2;
  info.iAddressFamily = ws.AF_INET;
  info.iMaxSockAddr = SOCKADDR_IN_BYTES;
  info.iMinSockAddr = SOCKADDR_IN_BYTES;
  info.iSocketType = ws.SOCK_STREAM;
  info.iProtocol = ws.IPPROTO_TCP;
  return info;
}
