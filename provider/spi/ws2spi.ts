// ws2spi.h: the procedure table a provider fills, and what goes with it. The functions are in
// ws2spi-functions.ts, the upcalls in upcalls.ts. Sources: SPI-01 to SPI-07, STARTUP, W2.13, W13.7.
//
// The smallest provider is a module with one export. It fills the slots it implements, leaves the
// others null, and answers every question it does not know with an error. This one has no NIC at
// all; the switch loads it, finds no address, and never chooses it:
//
//   import * as spi from 'winsock-direct/spi';
//
//   export const createProvider: spi.CreateProvider = () => ({
//     name: 'nothing',
//     providerId: '9a4c1e0e-6b0c-4c43-9d5b-5d8a6b0c1f11',
//     capabilities: {
//       kind: 'san',
//       rdmaRead: false,
//       registrationCacheCallback: false,
//       qos: false,
//       maxMessageSize: null,
//       maxRdmaSize: null,
//       rdmaThresholdSize: null,
//       duplicate: false,
//     },
//     WSPStartupEx(wVersionRequested, lpWSPData, _lpProtocolInfo, upcalls, lpProcTable) {
//       if (lpWSPData === null || lpProcTable === null) return spi.WSAEFAULT;
//       if (!spi.supportsVersion22(wVersionRequested)) return spi.WSAVERNOTSUPPORTED;
//       lpWSPData.wVersion = spi.WSP_VERSION_2_2;
//       lpProcTable.lpWSPSocket = (_af, _type, _protocol, _info, _g, _flags, lpErrno) =>
//         upcalls.lpWPUCreateSocketHandle(0, null, lpErrno);
//       lpProcTable.lpWSPCloseSocket = (s, lpErrno) => upcalls.lpWPUCloseSocketHandle(s, lpErrno);
//       lpProcTable.lpWSPIoctl = (_s, code, _in, _cbIn, out, cbOut, lpcb, _o, _r, _t, lpErrno) =>
//         code === spi.SIO_ADDRESS_LIST_QUERY && !spi.isExtensionFunctionPointer(out)
//           ? spi.answerAddressList([], out, cbOut, lpcb, lpErrno)
//           : spi.fail(lpErrno, spi.WSAEINVAL);
//       lpProcTable.lpWSPCleanup = () => 0;
//       return 0;
//     },
//   });
//
// Its own descriptor and the switch's handle are one number, which is allowed; a real provider
// keeps both (COMP-07) and goes on in the order Socket, Bind, EventSelect, Connect or Listen and
// Accept, GetSockOpt, the extensions of ws2san.ts, then Recv, Send and GetOverlappedResult.

import type * as fn from './ws2spi-functions.js';
import type { Ref } from './winsock2.js';
import { SOCKET_ERROR } from './winsock2.js';

export type * from './ws2spi-functions.js';
export * from './upcalls.js';

export const WSPDESCRIPTION_LEN = 255;

/** What WSAOVERLAPPED.Internal holds while the operation is pending. [OVL-09, DATA-07] */
export const WSS_OPERATION_IN_PROGRESS = 0x103;

/** Version 2.2 as a version word: major in the low byte, minor in the high one. [STARTUP-01] */
export const WSP_VERSION_2_2 = 0x0202;

/**
 * Whether a requested version word allows 2.2, the first with SAN support. [STARTUP-01,
 * STARTUP-06]
 */
export function supportsVersion22(version: number): boolean {
  const major = version & 0xff;
  const minor = (version >>> 8) & 0xff;
  return major > 2 || (major === 2 && minor >= 2);
}

/** Filled by WSPStartupEx. szDescription is at most WSPDESCRIPTION_LEN characters. [STARTUP-04] */
export interface WSPDATA {
  wVersion: number;
  wHighVersion: number;
  szDescription: string;
}

export function emptyWspData(): WSPDATA {
  return { wVersion: 0, wHighVersion: 0, szDescription: '' };
}

/** The 30 slots, in header order. A slot that the provider does not implement is null. [SPI-05] */
export interface WSPProcTable {
  lpWSPAccept: fn.LPWSPACCEPT | null;
  lpWSPAddressToString: fn.LPWSPADDRESSTOSTRING | null;
  lpWSPAsyncSelect: fn.LPWSPASYNCSELECT | null;
  lpWSPBind: fn.LPWSPBIND | null;
  lpWSPCancelBlockingCall: fn.LPWSPCANCELBLOCKINGCALL | null;
  lpWSPCleanup: fn.LPWSPCLEANUP | null;
  lpWSPCloseSocket: fn.LPWSPCLOSESOCKET | null;
  lpWSPConnect: fn.LPWSPCONNECT | null;
  lpWSPDuplicateSocket: fn.LPWSPDUPLICATESOCKET | null;
  lpWSPEnumNetworkEvents: fn.LPWSPENUMNETWORKEVENTS | null;
  lpWSPEventSelect: fn.LPWSPEVENTSELECT | null;
  lpWSPGetOverlappedResult: fn.LPWSPGETOVERLAPPEDRESULT | null;
  lpWSPGetPeerName: fn.LPWSPGETPEERNAME | null;
  lpWSPGetSockName: fn.LPWSPGETSOCKNAME | null;
  lpWSPGetSockOpt: fn.LPWSPGETSOCKOPT | null;
  lpWSPGetQOSByName: fn.LPWSPGETQOSBYNAME | null;
  lpWSPIoctl: fn.LPWSPIOCTL | null;
  lpWSPJoinLeaf: fn.LPWSPJOINLEAF | null;
  lpWSPListen: fn.LPWSPLISTEN | null;
  lpWSPRecv: fn.LPWSPRECV | null;
  lpWSPRecvDisconnect: fn.LPWSPRECVDISCONNECT | null;
  lpWSPRecvFrom: fn.LPWSPRECVFROM | null;
  lpWSPSelect: fn.LPWSPSELECT | null;
  lpWSPSend: fn.LPWSPSEND | null;
  lpWSPSendDisconnect: fn.LPWSPSENDDISCONNECT | null;
  lpWSPSendTo: fn.LPWSPSENDTO | null;
  lpWSPSetSockOpt: fn.LPWSPSETSOCKOPT | null;
  lpWSPShutdown: fn.LPWSPSHUTDOWN | null;
  lpWSPSocket: fn.LPWSPSOCKET | null;
  lpWSPStringToAddress: fn.LPWSPSTRINGTOADDRESS | null;
}

/** The slots of WSPPROC_TABLE, in order. */
export const PROC_TABLE_SLOTS = [
  'lpWSPAccept',
  'lpWSPAddressToString',
  'lpWSPAsyncSelect',
  'lpWSPBind',
  'lpWSPCancelBlockingCall',
  'lpWSPCleanup',
  'lpWSPCloseSocket',
  'lpWSPConnect',
  'lpWSPDuplicateSocket',
  'lpWSPEnumNetworkEvents',
  'lpWSPEventSelect',
  'lpWSPGetOverlappedResult',
  'lpWSPGetPeerName',
  'lpWSPGetSockName',
  'lpWSPGetSockOpt',
  'lpWSPGetQOSByName',
  'lpWSPIoctl',
  'lpWSPJoinLeaf',
  'lpWSPListen',
  'lpWSPRecv',
  'lpWSPRecvDisconnect',
  'lpWSPRecvFrom',
  'lpWSPSelect',
  'lpWSPSend',
  'lpWSPSendDisconnect',
  'lpWSPSendTo',
  'lpWSPSetSockOpt',
  'lpWSPShutdown',
  'lpWSPSocket',
  'lpWSPStringToAddress',
] as const satisfies readonly (keyof WSPProcTable)[];

/** The 17 slots that a SAN provider fills, in order; the other 13 stay null. [SPI-01, SPI-05] */
export const SAN_PROC_TABLE_SLOTS = [
  'lpWSPAccept',
  'lpWSPBind',
  'lpWSPCleanup',
  'lpWSPCloseSocket',
  'lpWSPConnect',
  'lpWSPDuplicateSocket',
  'lpWSPEnumNetworkEvents',
  'lpWSPEventSelect',
  'lpWSPGetOverlappedResult',
  'lpWSPGetSockOpt',
  'lpWSPGetQOSByName',
  'lpWSPIoctl',
  'lpWSPListen',
  'lpWSPRecv',
  'lpWSPSend',
  'lpWSPSetSockOpt',
  'lpWSPSocket',
] as const satisfies readonly (keyof WSPProcTable)[];

/** The procedure table of a SAN provider: the 17 are there. */
export type SanProcTable = {
  [Slot in (typeof SAN_PROC_TABLE_SLOTS)[number]]: NonNullable<WSPProcTable[Slot]>;
};

/** A table with every slot null, for WSPStartupEx to fill in place. The caller owns it. */
export function emptyProcTable(): WSPProcTable {
  return Object.fromEntries(
    PROC_TABLE_SLOTS.map((slot) => [slot, null]),
  ) as unknown as WSPProcTable;
}

/** Writes `code` to lpErrno and returns SOCKET_ERROR: how an SPI function fails. */
export function fail(lpErrno: Ref<number>, code: number): typeof SOCKET_ERROR {
  lpErrno.value = code;
  return SOCKET_ERROR;
}
