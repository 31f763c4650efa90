// ws2san.h: what makes a provider a SAN provider. WSPStartupEx is its one named export; the seven
// extension functions are fetched one by one with SIO_GET_EXTENSION_FUNCTION_POINTER. The first six
// work on a connected socket. Sources: EXT, REGMEM to CACHECB, ADDR, INIT, W14.17.

import type { Ref, WSABUF, WSAOVERLAPPED, WSAOVERLAPPED_COMPLETION_ROUTINE } from './winsock2.js';
import type { WSAPROTOCOL_INFO, WSATHREADID } from './winsock2.js';
import type { WSPDATA, WSPProcTable, WSPUpcallTableEx } from './ws2spi.js';

// Constants [EXT-05, OPT-10] ----------------------------------------------------------------------

export const MEM_READ = 1;
export const MEM_WRITE = 2;
export const MEM_READWRITE = 3;

export const SO_MAX_RDMA_SIZE = 0x700d;
export const SO_RDMA_THRESHOLD_SIZE = 0x700e;

// Extension GUIDs, as guidText writes them [W2.16] ------------------------------------------------

export const WSAID_REGISTERMEMORY = 'c0b422f5-f58c-11d1-ad6c-00c04fa34a2d';
export const WSAID_DEREGISTERMEMORY = 'c0b422f6-f58c-11d1-ad6c-00c04fa34a2d';
export const WSAID_REGISTERRDMAMEMORY = 'c0b422f7-f58c-11d1-ad6c-00c04fa34a2d';
export const WSAID_DEREGISTERRDMAMEMORY = 'c0b422f8-f58c-11d1-ad6c-00c04fa34a2d';
export const WSAID_RDMAWRITE = 'c0b422f9-f58c-11d1-ad6c-00c04fa34a2d';
/** Optional: without it WSPIoctl answers WSAEOPNOTSUPP. [EXT-03] */
export const WSAID_RDMAREAD = 'c0b422fa-f58c-11d1-ad6c-00c04fa34a2d';
/** Optional; a provider that caches registrations must have it. [EXT-03, CACHECB-01] */
export const WSAID_MEMORYREGISTRATIONCACHECALLBACK = 'e5da4af8-d824-48cd-a799-6337a98ed2af';

/** mswsock.h: Microsoft's extensions, which the switch answers itself. [XFER-17] */
export const WSAID_WSASENDMSG = 'a441e712-754f-43ca-84a7-0dee44cf606d';
export const WSAID_WSARECVMSG = 'f689d7c8-6f1f-436b-8a53-e54fe351c322';
export const WSAID_ACCEPTEX = 'b5367df1-cbac-11cf-95ca-00805f48a192';
export const WSAID_CONNECTEX = '25a207b9-ddf3-4660-8ee9-76e58c74063e';
export const WSAID_DISCONNECTEX = '7fda2e11-8630-436f-a031-f536a6eec157';
export const WSAID_TRANSMITFILE = 'b5367df0-cbac-11cf-95ca-00805f48a192';
export const WSAID_GETACCEPTEXSOCKADDRS = 'b5367df2-cbac-11cf-95ca-00805f48a192';

/** A local buffer of an RDMA transfer: a WSABUF with its WSPRegisterMemory handle. [EXT-06] */
export interface WSABUFEX extends WSABUF {
  handle: number;
}

export * from './extension-pointer.js';

// Functions ---------------------------------------------------------------------------------------

/**
 * Starts a provider for this process, or counts one more start (WSPCleanup ends one). Checks
 * wVersionRequested (low byte major, high byte minor; 2.2 needed), fills lpWSPData and
 * lpProcTable in place, keeps lpUpcallTable. lpProtocolInfo describes TCP/IP, which tells the
 * provider that it runs beneath the switch. Returns 0 or the error itself: WSASYSNOTREADY,
 * WSAVERNOTSUPPORTED, WSAEPROCLIM, WSAEFAULT (lpWSPData or lpProcTable missing). [STARTUP-01 to
 * -06, INIT-03, UPC-02]
 */
export type LPWSPSTARTUPEX = (
  wVersionRequested: number,
  lpWSPData: WSPDATA | null,
  lpProtocolInfo: WSAPROTOCOL_INFO | null,
  lpUpcallTable: WSPUpcallTableEx,
  lpProcTable: WSPProcTable | null,
) => number;

/**
 * Registers dwBufferLength bytes of lpBuffer for local use on this socket: send source, receive
 * target, local end of an RDMA transfer. Returns a handle (any non-zero number) valid for this
 * socket in this process until as many deregistrations as registrations; 0 on failure:
 * WSAENOBUFS, WSAEFAULT (no buffer, or too short), WSAEINVAL (dwFlags not MEM_*), WSAENOTCONN;
 * WSAENOTSOCK. The memory stays the caller's. [REGMEM-01 to -05, W14.17]
 */
export type LPFN_WSPREGISTERMEMORY = (
  s: number,
  lpBuffer: Uint8Array | null,
  dwBufferLength: number,
  dwFlags: number,
  lpErrno: Ref<number>,
) => number;

/**
 * Ends one registration made on the same socket. 0, or SOCKET_ERROR: WSAEINVAL (unknown handle, or
 * still used by a transfer), WSAENOTSOCK after close. [DEREGMEM-01, DEREGMEM-02, MEM-09, CLOSE-06]
 */
export type LPFN_WSPDEREGISTERMEMORY = (s: number, Handle: number, lpErrno: Ref<number>) => number;

/**
 * Exposes a buffer to the peer of this connection, for its RDMA reads (MEM_READ) or writes
 * (MEM_WRITE), and stores the descriptor that the peer needs. lpdwDescriptorLength: in, room;
 * out, bytes stored. Too short (or no block): WSAEFAULT, the needed length out, and nothing else
 * was looked at, since the switch probes so. The descriptor is opaque and means something on this
 * one connection. 0, or SOCKET_ERROR: WSAEFAULT, WSAENOBUFS, WSAEINVAL (flags), WSAENOTCONN.
 * [REGRDMA-01 to -07, MEM-04 to -06]
 */
export type LPFN_WSPREGISTERRDMAMEMORY = (
  s: number,
  lpBuffer: Uint8Array | null,
  dwBufferLength: number,
  dwFlags: number,
  lpRdmaBufferDescriptor: Uint8Array | null,
  lpdwDescriptorLength: Ref<number>,
  lpErrno: Ref<number>,
) => number;

/**
 * Ends one exposure made on the same socket; once it returns 0 for the last one, the peer cannot
 * reach the buffer. SOCKET_ERROR: WSAEINVAL (unknown descriptor, wrong length, or in use),
 * WSAENOTSOCK after close. [DEREGRDMA-01, DEREGRDMA-02, CACHE-06]
 */
export type LPFN_WSPDEREGISTERRDMAMEMORY = (
  s: number,
  lpRdmaBufferDescriptor: Uint8Array | null,
  dwDescriptorLength: number,
  lpErrno: Ref<number>,
) => number;

/**
 * Moves the local buffers, in order, into one contiguous range of the peer's exposed buffer,
 * beginning dwTargetBufferOffset bytes in. The peer's software is not told. Overlapped like
 * WSPSend: 0, or SOCKET_ERROR with WSA_IO_PENDING. A later WSPSend does not overtake it. Other
 * errors: WSAENOTCONN, WSAEINVAL (count, handle or descriptor), WSAEFAULT, WSAENOBUFS,
 * WSAENOTSOCK, the error of the dead connection; a refused access fails the operation and breaks
 * the connection. At most SO_MAX_RDMA_SIZE bytes a call. [RDMA-01 to -10, W14.17, W14.19]
 */
export type LPFN_WSPRDMAWRITE = (
  s: number,
  lpBuffers: readonly WSABUFEX[] | null,
  dwBufferCount: number,
  lpTargetBufferDescriptor: Uint8Array | null,
  dwTargetDescriptorLength: number,
  dwTargetBufferOffset: number,
  lpdwNumberOfBytesWritten: Ref<number> | null,
  dwFlags: number,
  lpOverlapped: WSAOVERLAPPED | null,
  lpCompletionRoutine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  lpThreadId: WSATHREADID | null,
  lpErrno: Ref<number>,
) => number;

/**
 * WSPRdmaWrite in the other direction: from the peer's buffer into the local ones. A WSPSend
 * posted after it is not transmitted before the read is complete. Optional. [RDMA-01 to -10,
 * RDMA-09, EXT-03]
 */
export type LPFN_WSPRDMAREAD = LPFN_WSPRDMAWRITE;

/**
 * Memory is about to be unmapped: drop every cached registration that touches any of it, in every
 * socket. lpvAddress is the first byte as a process address (HostMemory.addressOf), Size is in
 * bytes. 0, or SOCKET_ERROR: WSAEFAULT (cached and cannot be released), WSAEINVAL (cannot be
 * cached by this provider). Optional. [CACHECB-01 to -04]
 */
export type LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK = (
  lpvAddress: number,
  Size: number,
  lpErrno: Ref<number>,
) => number;

/** The extension functions of one provider, under the names of the functions. */
export interface SanExtensions {
  readonly WSPRegisterMemory: LPFN_WSPREGISTERMEMORY;
  readonly WSPDeregisterMemory: LPFN_WSPDEREGISTERMEMORY;
  readonly WSPRegisterRdmaMemory: LPFN_WSPREGISTERRDMAMEMORY;
  readonly WSPDeregisterRdmaMemory: LPFN_WSPDEREGISTERRDMAMEMORY;
  readonly WSPRdmaWrite: LPFN_WSPRDMAWRITE;
  readonly WSPRdmaRead: LPFN_WSPRDMAREAD | null;
  readonly WSPMemoryRegistrationCacheCallback: LPFN_WSPMEMORYREGISTRATIONCACHECALLBACK | null;
}

/** Which GUID fetches which extension, and which ones a provider must have. [EXT-02] */
export const SAN_EXTENSIONS: readonly {
  readonly name: keyof SanExtensions;
  readonly guid: string;
  readonly required: boolean;
}[] = [
  { name: 'WSPRegisterMemory', guid: WSAID_REGISTERMEMORY, required: true },
  { name: 'WSPDeregisterMemory', guid: WSAID_DEREGISTERMEMORY, required: true },
  { name: 'WSPRegisterRdmaMemory', guid: WSAID_REGISTERRDMAMEMORY, required: true },
  { name: 'WSPDeregisterRdmaMemory', guid: WSAID_DEREGISTERRDMAMEMORY, required: true },
  { name: 'WSPRdmaWrite', guid: WSAID_RDMAWRITE, required: true },
  { name: 'WSPRdmaRead', guid: WSAID_RDMAREAD, required: false },
  {
    name: 'WSPMemoryRegistrationCacheCallback',
    guid: WSAID_MEMORYREGISTRATIONCACHECALLBACK,
    required: false,
  },
];
