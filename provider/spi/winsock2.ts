// The part of winsock2.h (with ws2ipdef.h and mswsock.h) that the contract uses: constants under
// their header names, and structures as plain objects with the C field names. Error codes are
// errors.ts. It must not know who calls or who provides. Source: W2.1-2.13, DATA-01 to DATA-07.
//
// How C travels in TypeScript, once for the whole contract:
// - An out or in/out parameter is a Ref; null stands where C allows NULL.
// - SOCKET, HANDLE and WSAEVENT are numbers; a NULL handle is 0. BOOL is boolean.
// - DWORD and DWORD_PTR sized bit patterns are non-negative numbers; int and long may be negative.
// - A sockaddr, an option value and an ioctl buffer are Uint8Arrays in the Windows x64 layout.
// - A GUID inside a structure is its text (guid.ts); as ioctl input it is 16 bytes.

/** An out or in/out parameter: whoever is called writes `value`. Owned by the caller. */
export interface Ref<T> {
  value: T;
}

export function ref<T>(value: T): Ref<T> {
  return { value };
}

/** A word wide enough for a pointer, passed through unread; in TypeScript any one value. */
export type DWORD_PTR = unknown;

// Sockets [W2.1, W2.5-2.7] -----------------------------------------------------------------------

/** All ones, as 32 bits: handles are numbers here and 64 bits of ones would not be exact. */
export const INVALID_SOCKET = 0xffffffff;
export const SOCKET_ERROR = -1;

export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_INET6 = 23;

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_RDM = 4;
export const SOCK_SEQPACKET = 5;

export const IPPROTO_IP = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_IPV6 = 41;
export const IPPROTO_RAW = 255;

export const WSA_FLAG_OVERLAPPED = 0x01;
export const WSA_FLAG_MULTIPOINT_C_ROOT = 0x02;
export const WSA_FLAG_MULTIPOINT_C_LEAF = 0x04;
export const WSA_FLAG_MULTIPOINT_D_ROOT = 0x08;
export const WSA_FLAG_MULTIPOINT_D_LEAF = 0x10;
export const WSA_FLAG_ACCESS_SYSTEM_SECURITY = 0x40;
export const WSA_FLAG_NO_HANDLE_INHERIT = 0x80;
export const WSA_FLAG_REGISTERED_IO = 0x100;

export const SD_RECEIVE = 0;
export const SD_SEND = 1;
export const SD_BOTH = 2;

export const CF_ACCEPT = 0;
export const CF_REJECT = 1;
export const CF_DEFER = 2;

export const SOMAXCONN = 0x7fffffff;
export const FD_SETSIZE = 64;

export const INADDR_ANY = 0x00000000;
export const INADDR_LOOPBACK = 0x7f000001;
export const INADDR_BROADCAST = 0xffffffff;

/** As af, type or protocol of WSASocket: take it from lpProtocolInfo. */
export const FROM_PROTOCOL_INFO = -1;

// Transfers [W2.2] -------------------------------------------------------------------------------

export const MSG_OOB = 0x1;
export const MSG_PEEK = 0x2;
export const MSG_DONTROUTE = 0x4;
export const MSG_WAITALL = 0x8;
export const MSG_INTERRUPT = 0x10;
export const MSG_PUSH_IMMEDIATE = 0x20;
export const MSG_TRUNC = 0x100;
export const MSG_CTRUNC = 0x200;
export const MSG_BCAST = 0x400;
export const MSG_MCAST = 0x800;
export const MSG_PARTIAL = 0x8000;
export const MSG_MAXIOVLEN = 16;

// Events and waits [W2.3, W2.4, W2.11] ------------------------------------------------------------

export const WSA_INVALID_EVENT = 0;
export const WSA_MAXIMUM_WAIT_EVENTS = 64;
export const WSA_WAIT_EVENT_0 = 0;
export const WSA_WAIT_IO_COMPLETION = 0xc0;
export const WSA_WAIT_TIMEOUT = 0x102;
export const WSA_WAIT_FAILED = 0xffffffff;
export const WSA_INFINITE = 0xffffffff;

export const FD_READ_BIT = 0;
export const FD_WRITE_BIT = 1;
export const FD_OOB_BIT = 2;
export const FD_ACCEPT_BIT = 3;
export const FD_CONNECT_BIT = 4;
export const FD_CLOSE_BIT = 5;
export const FD_QOS_BIT = 6;
export const FD_GROUP_QOS_BIT = 7;
export const FD_ROUTING_INTERFACE_CHANGE_BIT = 8;
export const FD_ADDRESS_LIST_CHANGE_BIT = 9;
export const FD_MAX_EVENTS = 10;

export const FD_READ = 0x001;
export const FD_WRITE = 0x002;
export const FD_OOB = 0x004;
export const FD_ACCEPT = 0x008;
export const FD_CONNECT = 0x010;
export const FD_CLOSE = 0x020;
export const FD_QOS = 0x040;
export const FD_GROUP_QOS = 0x080;
export const FD_ROUTING_INTERFACE_CHANGE = 0x100;
export const FD_ADDRESS_LIST_CHANGE = 0x200;
export const FD_ALL_EVENTS = 0x3ff;

/** Events of WSAPoll: what may be asked for, and what is only answered. */
export const POLLRDNORM = 0x0100;
export const POLLRDBAND = 0x0200;
export const POLLIN = 0x0300;
export const POLLPRI = 0x0400;
export const POLLWRNORM = 0x0010;
export const POLLOUT = 0x0010;
export const POLLWRBAND = 0x0020;
export const POLLERR = 0x0001;
export const POLLHUP = 0x0002;
export const POLLNVAL = 0x0004;

export const FILE_SKIP_COMPLETION_PORT_ON_SUCCESS = 1;
export const FILE_SKIP_SET_EVENT_ON_HANDLE = 2;

// Options [W2.8, W2.9]; the two RDMA options are ws2san.ts ----------------------------------------

export const SOL_SOCKET = 0xffff;
export const SO_DEBUG = 0x0001;
export const SO_ACCEPTCONN = 0x0002;
export const SO_REUSEADDR = 0x0004;
export const SO_KEEPALIVE = 0x0008;
export const SO_DONTROUTE = 0x0010;
export const SO_BROADCAST = 0x0020;
export const SO_USELOOPBACK = 0x0040;
export const SO_LINGER = 0x0080;
export const SO_OOBINLINE = 0x0100;
/** The complement of SO_LINGER, as the 32 bits of a C int. */
export const SO_DONTLINGER = 0xffffff7f;
/** The complement of SO_REUSEADDR, as the 32 bits of a C int. */
export const SO_EXCLUSIVEADDRUSE = 0xfffffffb;
export const SO_SNDBUF = 0x1001;
export const SO_RCVBUF = 0x1002;
export const SO_SNDLOWAT = 0x1003;
export const SO_RCVLOWAT = 0x1004;
export const SO_SNDTIMEO = 0x1005;
export const SO_RCVTIMEO = 0x1006;
export const SO_ERROR = 0x1007;
export const SO_TYPE = 0x1008;
export const SO_GROUP_ID = 0x2001;
export const SO_GROUP_PRIORITY = 0x2002;
export const SO_MAX_MSG_SIZE = 0x2003;
export const SO_PROTOCOL_INFOA = 0x2004;
export const SO_PROTOCOL_INFOW = 0x2005;
export const SO_CONDITIONAL_ACCEPT = 0x3002;
export const SO_OPENTYPE = 0x7008;
export const SO_SYNCHRONOUS_ALERT = 0x10;
export const SO_SYNCHRONOUS_NONALERT = 0x20;
export const SO_UPDATE_ACCEPT_CONTEXT = 0x700b;
export const SO_CONNECT_TIME = 0x700c;
export const SO_UPDATE_CONNECT_CONTEXT = 0x7010;
export const TCP_NODELAY = 0x0001;
export const TCP_KEEPIDLE = 3;
export const TCP_KEEPCNT = 16;
export const TCP_KEEPINTVL = 17;

export const IP_TOS = 3;
export const IP_TTL = 4;
export const IP_PKTINFO = 19;
export const IP_RECVTTL = 21;
export const IP_RECVTOS = 40;
export const IPV6_PKTINFO = 19;
export const IPV6_HOPLIMIT = 21;
export const IPV6_V6ONLY = 27;
export const IPV6_TCLASS = 39;
export const IPV6_RECVTCLASS = 40;

// Control codes [W2.10] --------------------------------------------------------------------------

export const IOC_VOID = 0x20000000;
export const IOC_OUT = 0x40000000;
export const IOC_IN = 0x80000000;
export const IOC_WS2 = 0x08000000;
export const IOC_PROTOCOL = 0x10000000;
export const IOC_VENDOR = 0x18000000;

export const FIONREAD = 0x4004667f;
export const FIONBIO = 0x8004667e;
export const FIOASYNC = 0x8004667d;
export const SIOCATMARK = 0x40047307;
export const SIO_ASSOCIATE_HANDLE = 0x88000001;
export const SIO_ENABLE_CIRCULAR_QUEUEING = 0x28000002;
export const SIO_FLUSH = 0x28000004;
export const SIO_GET_BROADCAST_ADDRESS = 0x48000005;
export const SIO_GET_EXTENSION_FUNCTION_POINTER = 0xc8000006;
export const SIO_GET_QOS = 0xc8000007;
export const SIO_GET_GROUP_QOS = 0xc8000008;
export const SIO_SET_QOS = 0x8800000b;
export const SIO_SET_GROUP_QOS = 0x8800000c;
export const SIO_TRANSLATE_HANDLE = 0xc800000d;
export const SIO_ROUTING_INTERFACE_QUERY = 0xc8000014;
export const SIO_ROUTING_INTERFACE_CHANGE = 0x88000015;
export const SIO_ADDRESS_LIST_QUERY = 0x48000016;
export const SIO_ADDRESS_LIST_CHANGE = 0x28000017;
export const SIO_BASE_HANDLE = 0x48000022;
export const SIO_UDP_CONNRESET = 0x9800000c;
/** mstcpip.h: on, idle time and interval in milliseconds, 32 bits each. */
export const SIO_KEEPALIVE_VALS = 0x98000004;

// Catalog entries [W2.12, DATA-04, DATA-05] -------------------------------------------------------

export const XP1_CONNECTIONLESS = 0x00000001;
export const XP1_GUARANTEED_DELIVERY = 0x00000002;
export const XP1_GUARANTEED_ORDER = 0x00000004;
export const XP1_MESSAGE_ORIENTED = 0x00000008;
export const XP1_PSEUDO_STREAM = 0x00000010;
export const XP1_GRACEFUL_CLOSE = 0x00000020;
export const XP1_EXPEDITED_DATA = 0x00000040;
export const XP1_CONNECT_DATA = 0x00000080;
export const XP1_DISCONNECT_DATA = 0x00000100;
export const XP1_SUPPORT_BROADCAST = 0x00000200;
export const XP1_SUPPORT_MULTIPOINT = 0x00000400;
export const XP1_MULTIPOINT_CONTROL_PLANE = 0x00000800;
export const XP1_MULTIPOINT_DATA_PLANE = 0x00001000;
export const XP1_QOS_SUPPORTED = 0x00002000;
export const XP1_INTERRUPT = 0x00004000;
export const XP1_UNI_SEND = 0x00008000;
export const XP1_UNI_RECV = 0x00010000;
export const XP1_IFS_HANDLES = 0x00020000;
export const XP1_PARTIAL_MESSAGE = 0x00040000;
export const XP1_SAN_SUPPORT_SDP = 0x00080000;

export const PFL_MULTIPLE_PROTO_ENTRIES = 1;
export const PFL_RECOMMENDED_PROTO_ENTRY = 2;
export const PFL_HIDDEN = 4;
export const PFL_MATCHES_PROTOCOL_ZERO = 8;

export const BASE_PROTOCOL = 1;
export const LAYERED_PROTOCOL = 0;
export const MAX_PROTOCOL_CHAIN = 7;
export const WSAPROTOCOL_LEN = 255;
export const WSADESCRIPTION_LEN = 256;
export const WSASYS_STATUS_LEN = 128;

// Structures -------------------------------------------------------------------------------------

/** One buffer of a scatter/gather list. `len` bytes of `buf` count, not `buf.length`. [DATA-02] */
export interface WSABUF {
  len: number;
  buf: Uint8Array | null;
}

/**
 * One overlapped operation. The initiator owns it and keeps it, unmoved and for this operation
 * only, until completion; it sets hEvent and nothing else. A provider owns Offset and OffsetHigh,
 * shares Internal and InternalHigh with the upcall, and writes Internal last. [DATA-01, OVL-08 to
 * OVL-13]
 */
export interface WSAOVERLAPPED {
  Internal: number;
  InternalHigh: number;
  Offset: number;
  OffsetHigh: number;
  hEvent: number;
}

/** A fresh WSAOVERLAPPED. Every one has the same hidden class: make them here, not by hand. */
export function createOverlapped(hEvent = 0): WSAOVERLAPPED {
  return { Internal: 0, InternalHigh: 0, Offset: 0, OffsetHigh: 0, hEvent };
}

/** Runs in the initiating thread, in an alertable wait, once per operation. [W9.9.9] */
export type WSAOVERLAPPED_COMPLETION_ROUTINE = (
  dwError: number,
  cbTransferred: number,
  lpOverlapped: WSAOVERLAPPED | null,
  dwFlags: number,
) => void;

/** Names the thread that a provider queues an APC to. Copied by value, never kept by reference. */
export interface WSATHREADID {
  ThreadHandle: number;
  Reserved: number;
}

export interface WSAMSG {
  name: Uint8Array | null;
  namelen: number;
  lpBuffers: readonly WSABUF[] | null;
  dwBufferCount: number;
  Control: WSABUF;
  dwFlags: number;
}

export interface WSADATA {
  wVersion: number;
  wHighVersion: number;
  iMaxSockets: number;
  iMaxUdpDg: number;
  lpVendorInfo: string | null;
  szDescription: string;
  szSystemStatus: string;
}

export interface WSAPROTOCOLCHAIN {
  ChainLen: number;
  ChainEntries: number[];
}

/** A catalog entry. One type for the A and W forms; ProviderId is GUID text. [INST-03, INST-15] */
export interface WSAPROTOCOL_INFO {
  dwServiceFlags1: number;
  dwServiceFlags2: number;
  dwServiceFlags3: number;
  dwServiceFlags4: number;
  dwProviderFlags: number;
  ProviderId: string;
  dwCatalogEntryId: number;
  ProtocolChain: WSAPROTOCOLCHAIN;
  iVersion: number;
  iAddressFamily: number;
  iMaxSockAddr: number;
  iMinSockAddr: number;
  iSocketType: number;
  iProtocol: number;
  iProtocolMaxOffset: number;
  iNetworkByteOrder: number;
  iSecurityScheme: number;
  dwMessageSize: number;
  /** 32 bits. Non-zero between WSPDuplicateSocket and the WSPSocket that takes the socket over. */
  dwProviderReserved: number;
  szProtocol: string;
}

/** Occurrences by bit, and one error per bit; only slots of set bits mean anything. [DATA-03] */
export interface WSANETWORKEVENTS {
  lNetworkEvents: number;
  iErrorCode: number[];
}

export function createNetworkEvents(): WSANETWORKEVENTS {
  return { lNetworkEvents: 0, iErrorCode: new Array<number>(FD_MAX_EVENTS).fill(0) };
}

export interface linger {
  l_onoff: number;
  l_linger: number;
}

/** `fd_count` entries of `fd_array` count. */
export interface fd_set {
  fd_count: number;
  fd_array: number[];
}

/** One question of WSAPoll; `fd` below 0 or INVALID_SOCKET: none. */
export interface WSAPOLLFD {
  fd: number;
  events: number;
  revents: number;
}

export interface timeval {
  tv_sec: number;
  tv_usec: number;
}

export interface FLOWSPEC {
  TokenRate: number;
  TokenBucketSize: number;
  PeakBandwidth: number;
  Latency: number;
  DelayVariation: number;
  ServiceType: number;
  MaxSduSize: number;
  MinimumPolicedSize: number;
}

export interface QOS {
  SendingFlowspec: FLOWSPEC;
  ReceivingFlowspec: FLOWSPEC;
  ProviderSpecific: WSABUF;
}

/**
 * The condition function of WSPAccept: returns CF_ACCEPT, CF_REJECT or CF_DEFER. Called on the
 * thread that called WSPAccept, before it returns and before the peer is told anything. Ids are
 * sockaddrs. [ACCEPT-02, ACCEPT-03]
 */
export type LPCONDITIONPROC = (
  lpCallerId: WSABUF,
  lpCallerData: WSABUF | null,
  lpSQOS: QOS | null,
  lpGQOS: QOS | null,
  lpCalleeId: WSABUF,
  lpCalleeData: WSABUF | null,
  g: Ref<number> | null,
  dwCallbackData: DWORD_PTR,
) => number;
