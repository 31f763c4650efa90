// One type and one contract for each of the 30 SPI functions, in the order of the procedure table.
// SAN marks the rule for a SAN provider, base the one for a provider that does everything. Sources:
// wsd-spec sections 5, 7, 8 and 12; winsock-spec sections 4-6 and 8-11, cited as W + number.
//
// What holds for all of them: failure is SOCKET_ERROR (INVALID_SOCKET or false where the type says
// so) with the code in lpErrno, which is untouched on success. WSAENETDOWN and WSAENOTSOCK (unknown
// or closed descriptor) are possible everywhere a socket is named. Called on the caller's thread;
// arguments belong to the caller again at the return, except the memory behind the buffers and the
// WSAOVERLAPPED of an operation that is pending.

import type { ExtensionFunctionPointer } from './extension-pointer.js';
import type * as ws from './winsock2.js';

type Errno = ws.Ref<number>;
type Sockaddr = Uint8Array | null;
type Buffers = readonly ws.WSABUF[] | null;
type Routine = ws.WSAOVERLAPPED_COMPLETION_ROUTINE | null;

/**
 * Takes the next connection request, if lpfnCondition accepts it. addr receives the peer's
 * address (IP, also from a SAN), addrlen in: room, out: length; both only on success. SAN:
 * lpfnCondition is always given; CF_REJECT is WSAECONNREFUSED here and at the peer; the new
 * socket gets a handle from lpWPUCreateSocketHandle; the FD_ACCEPT event is reset first. Returns
 * the new descriptor or INVALID_SOCKET: WSAEFAULT, WSAEINVAL, WSAEMFILE, WSAEWOULDBLOCK (none
 * waits), WSATRY_AGAIN (CF_DEFER), WSAENOBUFS, WSAEOPNOTSUPP. [ACCEPT-01 to -10]
 */
export type LPWSPACCEPT = (
  s: number,
  addr: Sockaddr,
  addrlen: ws.Ref<number> | null,
  lpfnCondition: ws.LPCONDITIONPROC | null,
  dwCallbackData: ws.DWORD_PTR,
  lpErrno: Errno,
) => number;

/**
 * Writes an address as text. lpdwAddressStringLength in: room, out: length, in characters.
 * [SPI-03]
 */
export type LPWSPADDRESSTOSTRING = (
  lpsaAddress: Sockaddr,
  dwAddressLength: number,
  lpProtocolInfo: ws.WSAPROTOCOL_INFO | null,
  lpszAddressString: ws.Ref<string>,
  lpdwAddressStringLength: ws.Ref<number>,
  lpErrno: Errno,
) => number;

/** Selects network events by window message. Never called on a SAN provider. [SPI-02] */
export type LPWSPASYNCSELECT = (
  s: number,
  hWnd: number,
  wMsg: number,
  lEvent: number,
  lpErrno: Errno,
) => number;

/**
 * Gives a socket its local address. SAN: address and port are both there, but for 0.0.0.0, which
 * means every NIC of the provider; never WSAEADDRINUSE, ports belong to TCP/IP. WSAEADDRNOTAVAIL,
 * WSAEFAULT (missing, short, other family), WSAEINVAL (bound already), WSAENOBUFS. [BIND-01 to
 * -04, COMP-08]
 */
export type LPWSPBIND = (s: number, name: Sockaddr, namelen: number, lpErrno: Errno) => number;

/** Cancels the thread's blocking call. Never called on a SAN provider. [BLK-01] */
export type LPWSPCANCELBLOCKINGCALL = (lpErrno: Errno) => number;

/**
 * Undoes one WSPStartupEx; the last one cancels all pending operations with WSA_OPERATION_ABORTED
 * and releases everything. WSANOTINITIALISED, WSAENETDOWN. [CLEANUP-01 to -04]
 */
export type LPWSPCLEANUP = (lpErrno: Errno) => number;

/**
 * Closes a descriptor; aborts a connect in progress. SAN: always abortive. Pending operations end
 * with WSA_OPERATION_ABORTED, each after its memory was released; lpWPUCloseSocketHandle comes
 * last. WSAENETDOWN, WSAENOTSOCK. [CLOSESOCK-01 to -03, CLOSE-01 to -04, CONNECT-07]
 */
export type LPWSPCLOSESOCKET = (s: number, lpErrno: Errno) => number;

/**
 * Connects to a peer. SAN: FD_CONNECT is selected before, so it never blocks: 0, a failure, or
 * WSAEWOULDBLOCK with the outcome reported by FD_CONNECT. WSAECONNRESET (no listener),
 * WSAECONNREFUSED and WSAEHOSTUNREACH promise that TCP/IP would fail too; anything else lets the
 * switch try TCP/IP, such as WSAETIMEDOUT for a host on the SAN without WSD. Also
 * WSAEADDRNOTAVAIL, WSAEADDRINUSE, WSAEISCONN, WSAEALREADY, WSAEINVAL, WSAEFAULT, WSAENETUNREACH,
 * WSAENOBUFS. [CONNECT-01 to -12]
 */
export type LPWSPCONNECT = (
  s: number,
  name: Sockaddr,
  namelen: number,
  lpCallerData: ws.WSABUF | null,
  lpCalleeData: ws.WSABUF | null,
  lpSQOS: ws.QOS | null,
  lpGQOS: ws.QOS | null,
  lpErrno: Errno,
) => number;

/**
 * Hands a socket to another process: fills lpProtocolInfo, whose dwProviderReserved makes that
 * process's WSPSocket take it over, once. SAN: pending receives complete with success and 0
 * bytes; afterwards only WSPCloseSocket may follow. WSAEINVAL, WSAEMFILE, WSAENOBUFS.
 * [DUPSOCK-01, DUPSOCK-02, DUP-11]
 */
export type LPWSPDUPLICATESOCKET = (
  s: number,
  dwProcessId: number,
  lpProtocolInfo: ws.WSAPROTOCOL_INFO | null,
  lpErrno: Errno,
) => number;

/**
 * Copies what happened since the last call, clears the record, resets hEventObject if it is not
 * 0: as one step, and on failure none of it. Only slots of set bits are written. WSAEINVAL.
 * [EVT-05 to -07]
 */
export type LPWSPENUMNETWORKEVENTS = (
  s: number,
  hEventObject: number,
  lpNetworkEvents: ws.WSANETWORKEVENTS | null,
  lpErrno: Errno,
) => number;

/**
 * Has hEventObject signalled when an event of the mask occurs; replaces the earlier selection; 0
 * ends it. A condition that holds already is signalled at once. SAN: only FD_CONNECT and
 * FD_ACCEPT are ever asked for, alone or together; others WSAEINVAL. [EVT-01 to -10]
 */
export type LPWSPEVENTSELECT = (
  s: number,
  hEventObject: number,
  lNetworkEvents: number,
  lpErrno: Errno,
) => number;

/**
 * The outcome of an overlapped operation of this socket. true: done, with bytes and flags out.
 * false: WSA_IO_INCOMPLETE while it is pending and fWait is false, WSA_INVALID_HANDLE, WSAEINVAL,
 * or the operation's own error; lpcbTransfer is then untouched. May drive progress, so
 * completions of other sockets may be reported from within. [GOR-01 to -05, OVL-10]
 */
export type LPWSPGETOVERLAPPEDRESULT = (
  s: number,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpcbTransfer: ws.Ref<number> | null,
  fWait: boolean,
  lpdwFlags: ws.Ref<number> | null,
  lpErrno: Errno,
) => boolean;

/** The peer's address. Never called on a SAN provider: the switch remembers it. [SPI-04] */
export type LPWSPGETPEERNAME = (
  s: number,
  name: Sockaddr,
  namelen: ws.Ref<number> | null,
  lpErrno: Errno,
) => number;

/** The local address. Never called on a SAN provider: the switch remembers it. [SPI-04] */
export type LPWSPGETSOCKNAME = LPWSPGETPEERNAME;

/**
 * Reads an option, in any socket state. optlen in: room, out: bytes stored. SAN: SO_MAX_MSG_SIZE,
 * SO_MAX_RDMA_SIZE and SO_RDMA_THRESHOLD_SIZE (u32), SO_DEBUG, with QoS the group options.
 * WSAEFAULT, WSAEINVAL (level), WSAENOPROTOOPT (not supported: no limit, no preference).
 * [GETOPT-01, -02, OPT-03 to -06]
 */
export type LPWSPGETSOCKOPT = (
  s: number,
  level: number,
  optname: number,
  optval: Uint8Array | null,
  optlen: ws.Ref<number> | null,
  lpErrno: Errno,
) => number;

/**
 * Fills lpQOS from the template that lpQOSName names in UTF-16, or lists the names. false:
 * WSAEOPNOTSUPP (no QoS), WSAEINVAL (unknown template), WSAEFAULT. [QOS-01, QOS-02]
 */
export type LPWSPGETQOSBYNAME = (
  s: number,
  lpQOSName: ws.WSABUF | null,
  lpQOS: ws.QOS | null,
  lpErrno: Errno,
) => boolean;

/**
 * Control codes. SAN: SIO_GET_EXTENSION_FUNCTION_POINTER (the socket is not looked at; unknown
 * GUID WSAEINVAL, missing optional one WSAEOPNOTSUPP; see ExtensionFunctionPointer),
 * SIO_ADDRESS_LIST_QUERY (see address-list.ts; too short WSAEFAULT with the needed length out),
 * with QoS the QoS codes; others WSAEOPNOTSUPP (the field provider answers WSAENOPROTOOPT).
 * [IOCTL-01 to -04, IOC-01 to -05, EXT-01 to -03]
 */
export type LPWSPIOCTL = (
  s: number,
  dwIoControlCode: number,
  lpvInBuffer: Uint8Array | null,
  cbInBuffer: number,
  lpvOutBuffer: Uint8Array | ExtensionFunctionPointer | null,
  cbOutBuffer: number,
  lpcbBytesReturned: ws.Ref<number> | null,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: Errno,
) => number;

/**
 * Joins a multipoint session; the new descriptor or INVALID_SOCKET. Never called on a SAN
 * provider.
 */
export type LPWSPJOINLEAF = (
  s: number,
  name: Sockaddr,
  namelen: number,
  lpCallerData: ws.WSABUF | null,
  lpCalleeData: ws.WSABUF | null,
  lpSQOS: ws.QOS | null,
  lpGQOS: ws.QOS | null,
  dwFlags: number,
  lpErrno: Errno,
) => number;

/**
 * Starts to queue connection requests, at most `backlog` (SOMAXCONN: the provider's own maximum).
 * SAN: a request over the backlog is refused at once, without an event. WSAEINVAL (not bound),
 * WSAEISCONN, WSAEMFILE, WSAENOBUFS. [LISTEN-01 to -05]
 */
export type LPWSPLISTEN = (s: number, backlog: number, lpErrno: Errno) => number;

/**
 * Receives into the buffers in array order, packed. 0: done, count and flags written.
 * SOCKET_ERROR with WSA_IO_PENDING: later, by WSPGetOverlappedResult. SAN: posted ahead of
 * arrival, one message takes one receive; buffers registered; routine and thread id null.
 * WSAENOTCONN, WSAENETRESET, WSAEFAULT, WSAEINVAL, WSAENOBUFS, WSAECONNABORTED, WSAECONNRESET,
 * WSA_OPERATION_ABORTED. [WSPRECV-01 to -08]
 */
export type LPWSPRECV = (
  s: number,
  lpBuffers: Buffers,
  dwBufferCount: number,
  lpNumberOfBytesRecvd: ws.Ref<number> | null,
  lpFlags: ws.Ref<number> | null,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: Errno,
) => number;

/** Ends reception and fetches disconnect data. Never called on a SAN provider. [SHUT-01] */
export type LPWSPRECVDISCONNECT = (
  s: number,
  lpInboundDisconnectData: ws.WSABUF | null,
  lpErrno: Errno,
) => number;

/**
 * WSPRecv with the sender's address, which is written at completion. Never on a SAN provider.
 * [W8.2.2]
 */
export type LPWSPRECVFROM = (
  s: number,
  lpBuffers: Buffers,
  dwBufferCount: number,
  lpNumberOfBytesRecvd: ws.Ref<number> | null,
  lpFlags: ws.Ref<number> | null,
  lpFrom: Sockaddr,
  lpFromlen: ws.Ref<number> | null,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: Errno,
) => number;

/**
 * Waits for readiness; sets are rewritten in place; the number of ready sockets. Never on a SAN
 * provider.
 */
export type LPWSPSELECT = (
  nfds: number,
  readfds: ws.fd_set | null,
  writefds: ws.fd_set | null,
  exceptfds: ws.fd_set | null,
  timeout: ws.timeval | null,
  lpErrno: Errno,
) => number;

/**
 * Sends the buffers, gathered in array order, in call order. 0: done, count written. SOCKET_ERROR
 * with WSA_IO_PENDING: later, count untouched. SAN: dwFlags 0, routine null, every buffer inside
 * a registration of this socket, at most SO_MAX_MSG_SIZE bytes; the entries of lpBuffers are
 * copied before the return. Only WSAENETDOWN, WSAEFAULT, WSAENOBUFS, WSAENOTCONN, WSAENOTSOCK,
 * WSAESHUTDOWN, WSAEINVAL, WSAECONNABORTED, WSAECONNRESET, WSA_OPERATION_ABORTED. base: W4.
 * [WSPSEND-01 to -21]
 */
export type LPWSPSEND = (
  s: number,
  lpBuffers: Buffers,
  dwBufferCount: number,
  lpNumberOfBytesSent: ws.Ref<number> | null,
  dwFlags: number,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: Errno,
) => number;

/** Ends sending, with disconnect data. Never called on a SAN provider. [SHUT-01] */
export type LPWSPSENDDISCONNECT = (
  s: number,
  lpOutboundDisconnectData: ws.WSABUF | null,
  lpErrno: Errno,
) => number;

/** WSPSend to lpTo, which a connection-oriented socket ignores. Never on a SAN provider. [W5] */
export type LPWSPSENDTO = (
  s: number,
  lpBuffers: Buffers,
  dwBufferCount: number,
  lpNumberOfBytesSent: ws.Ref<number> | null,
  dwFlags: number,
  lpTo: Sockaddr,
  iTolen: number,
  lpOverlapped: ws.WSAOVERLAPPED | null,
  lpCompletionRoutine: Routine,
  lpThreadId: ws.WSATHREADID | null,
  lpErrno: Errno,
) => number;

/**
 * Sets an option, in any socket state. SAN: only SO_DEBUG and SO_GROUP_PRIORITY are forwarded.
 * WSAEFAULT, WSAEINVAL, WSAENETRESET, WSAENOPROTOOPT, WSAENOTCONN. [SETOPT-01, SETOPT-02, OPT-07]
 */
export type LPWSPSETSOCKOPT = (
  s: number,
  level: number,
  optname: number,
  optval: Uint8Array | null,
  optlen: number,
  lpErrno: Errno,
) => number;

/** Ends one or both directions. Never called on a SAN provider. [SHUT-01] */
export type LPWSPSHUTDOWN = (s: number, how: number, lpErrno: Errno) => number;

/**
 * Makes a socket, or takes over the one that lpProtocolInfo.dwProviderReserved names. SAN:
 * AF_INET, SOCK_STREAM, IPPROTO_TCP, dwFlags exactly WSA_FLAG_OVERLAPPED; lpWPUCreateSocketHandle
 * is called inside. The descriptor may be any number but INVALID_SOCKET. WSAEAFNOSUPPORT,
 * WSAEMFILE, WSAENOBUFS, WSAEPROTONOSUPPORT, WSAEPROTOTYPE, WSAESOCKTNOSUPPORT, WSAEINVAL.
 * [SOCKET-01 to -05, DUP-12]
 */
export type LPWSPSOCKET = (
  af: number,
  type: number,
  protocol: number,
  lpProtocolInfo: ws.WSAPROTOCOL_INFO | null,
  g: number,
  dwFlags: number,
  lpErrno: Errno,
) => number;

/**
 * Reads text as an address. lpAddressLength in: room, out: length. WSAEFAULT, WSAEINVAL. [SPI-03]
 */
export type LPWSPSTRINGTOADDRESS = (
  AddressString: string,
  AddressFamily: number,
  lpProtocolInfo: ws.WSAPROTOCOL_INFO | null,
  lpAddress: Sockaddr,
  lpAddressLength: ws.Ref<number> | null,
  lpErrno: Errno,
) => number;
