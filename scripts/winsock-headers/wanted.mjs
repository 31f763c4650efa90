// What the header table asks for, besides the constants: the headers and their order, and the
// structures with the fields of which the offset is wanted. Data only.

export const PRELUDE = `
#define _WIN32_WINNT 0x0A00
#define WIN32_NO_STATUS
#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <ws2spi.h>
#include <ddk/ws2san.h>
#undef WIN32_NO_STATUS
#include <ntstatus.h>
#include <stddef.h>
`;

/** Macros worth having, stated by provider/spi or not: a new constant then finds its value. */
export const HEADER_PREFIXES =
  /^(AF|CF|FD|INADDR|IOC|IPPROTO|IPV6|IP|MSG|PFL|SD|SIO|SOCK|SO|TCP|WSA|WSP|WSS|XP1)[A-Z0-9_]*$/;

export const SLOT_TABLES = ['WSPPROC_TABLE', 'WSPUPCALLTABLE', 'WSPUPCALLTABLEEX'];

export const GUIDS = [
  'WSAID_REGISTERMEMORY',
  'WSAID_DEREGISTERMEMORY',
  'WSAID_REGISTERRDMAMEMORY',
  'WSAID_DEREGISTERRDMAMEMORY',
  'WSAID_RDMAWRITE',
  'WSAID_RDMAREAD',
  'WSAID_MEMORYREGISTRATIONCACHECALLBACK',
  'WSAID_WSASENDMSG',
  'WSAID_WSARECVMSG',
  'WSAID_ACCEPTEX',
  'WSAID_CONNECTEX',
  'WSAID_DISCONNECTEX',
  'WSAID_TRANSMITFILE',
  'WSAID_GETACCEPTEXSOCKADDRS',
];

const PROTOCOL_INFO_FIELDS = [
  'dwServiceFlags1',
  'dwServiceFlags2',
  'dwServiceFlags3',
  'dwServiceFlags4',
  'dwProviderFlags',
  'ProviderId',
  'dwCatalogEntryId',
  'ProtocolChain',
  'iVersion',
  'iAddressFamily',
  'iMaxSockAddr',
  'iMinSockAddr',
  'iSocketType',
  'iProtocol',
  'iProtocolMaxOffset',
  'iNetworkByteOrder',
  'iSecurityScheme',
  'dwMessageSize',
  'dwProviderReserved',
  'szProtocol',
];

export const STRUCTS = {
  WSABUF: ['len', 'buf'],
  WSABUFEX: ['len', 'buf', 'handle'],
  WSAOVERLAPPED: ['Internal', 'InternalHigh', 'Offset', 'OffsetHigh', 'hEvent'],
  WSAMSG: ['name', 'namelen', 'lpBuffers', 'dwBufferCount', 'Control', 'dwFlags'],
  WSACMSGHDR: ['cmsg_len', 'cmsg_level', 'cmsg_type'],
  IN_PKTINFO: ['ipi_addr', 'ipi_ifindex'],
  IN6_PKTINFO: ['ipi6_addr', 'ipi6_ifindex'],
  WSANETWORKEVENTS: ['lNetworkEvents', 'iErrorCode'],
  WSATHREADID: ['ThreadHandle', 'Reserved'],
  LINGER: ['l_onoff', 'l_linger'],
  SOCKADDR_IN: ['sin_family', 'sin_port', 'sin_addr', 'sin_zero'],
  SOCKADDR_IN6: ['sin6_family', 'sin6_port', 'sin6_flowinfo', 'sin6_addr', 'sin6_scope_id'],
  SOCKADDR_STORAGE: ['ss_family'],
  WSAPROTOCOL_INFOW: PROTOCOL_INFO_FIELDS,
  WSAPROTOCOL_INFOA: PROTOCOL_INFO_FIELDS,
  WSPDATA: ['wVersion', 'wHighVersion', 'szDescription'],
  WSADATA: ['wVersion', 'wHighVersion'],
  WSAPOLLFD: ['fd', 'events', 'revents'],
  FD_SET: ['fd_count', 'fd_array'],
  GUID: ['Data1', 'Data2', 'Data3', 'Data4'],
  SOCKET_ADDRESS: ['lpSockaddr', 'iSockaddrLength'],
  SOCKET_ADDRESS_LIST: ['iAddressCount', 'Address'],
  WSPPROC_TABLE: ['lpWSPAccept', 'lpWSPStringToAddress'],
  WSPUPCALLTABLE: ['lpWPUCloseEvent', 'lpWPUCloseThread'],
  WSPUPCALLTABLEEX: ['lpWPUCloseEvent', 'lpWPUCompleteOverlappedRequest'],
};
