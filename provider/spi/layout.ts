// Sizes and field offsets of the C structures on 64-bit Windows (LLP64), as data: what a byte
// buffer that crosses the contract looks like, and what tools print. Checked against the
// mingw-w64 headers by test/provider/spi/headers.test.ts. Sources: W2.13, EXT-06, SPI-05,
// UPC-01.

import { PROC_TABLE_SLOTS, UPCALL_TABLE_EX_SLOTS, UPCALL_TABLE_SLOTS } from './ws2spi.js';

export interface StructLayout<Field extends string = string> {
  /** The C name. */
  readonly name: string;
  /** sizeof. */
  readonly bytes: number;
  /** offsetof, for the fields that are used or stated by the specification. */
  readonly offsets: Readonly<Record<Field, number>>;
}

function layout<const Offsets extends Readonly<Record<string, number>>>(
  name: string,
  bytes: number,
  offsets: Offsets,
): StructLayout<Extract<keyof Offsets, string>> {
  return { name, bytes, offsets };
}

function pointers<const Slots extends readonly string[]>(
  name: string,
  slots: Slots,
): StructLayout<Slots[number]> {
  const offsets = Object.fromEntries(slots.map((slot, index) => [slot, POINTER_BYTES * index]));
  return {
    name,
    bytes: POINTER_BYTES * slots.length,
    offsets: offsets as Record<Slots[number], number>,
  };
}

export const POINTER_BYTES = 8;

export const socketAddress = layout('SOCKET_ADDRESS', 16, { lpSockaddr: 0, iSockaddrLength: 8 });

/** `bytes` is that of a list of one address, as C declares it. */
export const socketAddressList = layout('SOCKET_ADDRESS_LIST', 24, {
  iAddressCount: 0,
  Address: 8,
});

export const wsaProtocolInfoW = layout('WSAPROTOCOL_INFOW', 628, {
  dwServiceFlags1: 0,
  dwServiceFlags2: 4,
  dwServiceFlags3: 8,
  dwServiceFlags4: 12,
  dwProviderFlags: 16,
  ProviderId: 20,
  dwCatalogEntryId: 36,
  ProtocolChain: 40,
  iVersion: 72,
  iAddressFamily: 76,
  iMaxSockAddr: 80,
  iMinSockAddr: 84,
  iSocketType: 88,
  iProtocol: 92,
  iProtocolMaxOffset: 96,
  iNetworkByteOrder: 100,
  iSecurityScheme: 104,
  dwMessageSize: 108,
  dwProviderReserved: 112,
  szProtocol: 116,
});

export const cmsghdr = layout('WSACMSGHDR', 16, { cmsg_len: 0, cmsg_level: 8, cmsg_type: 12 });

/** Every structure of W2.13, W2.15 and ws2san.h. */
export const STRUCT_LAYOUTS: readonly StructLayout[] = [
  layout('WSABUF', 16, { len: 0, buf: 8 }),
  layout('WSABUFEX', 24, { len: 0, buf: 8, handle: 16 }),
  layout('WSAOVERLAPPED', 32, {
    Internal: 0,
    InternalHigh: 8,
    Offset: 16,
    OffsetHigh: 20,
    hEvent: 24,
  }),
  layout('WSAMSG', 56, {
    name: 0,
    namelen: 8,
    lpBuffers: 16,
    dwBufferCount: 24,
    Control: 32,
    dwFlags: 48,
  }),
  cmsghdr,
  layout('IN_PKTINFO', 8, { ipi_addr: 0, ipi_ifindex: 4 }),
  layout('IN6_PKTINFO', 20, { ipi6_addr: 0, ipi6_ifindex: 16 }),
  layout('WSANETWORKEVENTS', 44, { lNetworkEvents: 0, iErrorCode: 4 }),
  layout('WSATHREADID', 16, { ThreadHandle: 0, Reserved: 8 }),
  layout('LINGER', 4, { l_onoff: 0, l_linger: 2 }),
  layout('SOCKADDR_IN', 16, { sin_family: 0, sin_port: 2, sin_addr: 4, sin_zero: 8 }),
  layout('SOCKADDR_IN6', 28, {
    sin6_family: 0,
    sin6_port: 2,
    sin6_flowinfo: 4,
    sin6_addr: 8,
    sin6_scope_id: 24,
  }),
  layout('SOCKADDR_STORAGE', 128, { ss_family: 0 }),
  wsaProtocolInfoW,
  layout('WSAPROTOCOL_INFOA', 372, { szProtocol: 116 }),
  layout('WSPDATA', 516, { wVersion: 0, wHighVersion: 2, szDescription: 4 }),
  layout('WSADATA', 408, { wVersion: 0, wHighVersion: 2 }),
  layout('WSAPOLLFD', 16, { fd: 0, events: 8, revents: 10 }),
  layout('FD_SET', 520, { fd_count: 0, fd_array: 8 }),
  layout('GUID', 16, { Data1: 0, Data2: 4, Data3: 6, Data4: 8 }),
  socketAddress,
  socketAddressList,
  pointers('WSPPROC_TABLE', PROC_TABLE_SLOTS),
  pointers('WSPUPCALLTABLE', UPCALL_TABLE_SLOTS),
  pointers('WSPUPCALLTABLEEX', UPCALL_TABLE_EX_SLOTS),
];
