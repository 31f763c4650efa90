// The one table of what each call answers in each state of a socket, as data. A cell lists the codes
// that the sources allow; where they leave room, several. Who judges by it: calls-in-every-state.ts.
// Sources: the error tables of wsd-spec sections 5 and 6; WSPSEND-19, CLOSE-07, W14.17 for the rest.

import * as wsa from '../../../provider/spi/index.js';
import type { SocketState } from '../states.js';

export const CALLS = [
  'WSPAccept',
  'WSPBind',
  'WSPCloseSocket',
  'WSPConnect',
  'WSPDuplicateSocket',
  'WSPEnumNetworkEvents',
  'WSPEventSelect',
  'WSPGetOverlappedResult',
  'WSPGetQOSByName',
  'WSPGetSockOpt',
  'WSPSetSockOpt',
  'WSPIoctl-address-list',
  'WSPIoctl-extension',
  'WSPListen',
  'WSPRecv',
  'WSPSend',
  'WSPRegisterMemory',
  'WSPDeregisterMemory',
  'WSPRegisterRdmaMemory',
  'WSPRegisterRdmaMemory-probe',
  'WSPDeregisterRdmaMemory',
  'WSPRdmaWrite',
  'WSPRdmaRead',
] as const;

export type TableCall = (typeof CALLS)[number];

/** A cell: the codes allowed. 0 is success; a descriptor or a handle counts as success. */
type Codes = readonly number[];

export interface TableRow {
  readonly clauses: readonly string[];
  /** In every state that has no cell of its own. */
  readonly otherwise: Codes;
  readonly cells: Readonly<Partial<Record<SocketState, Codes>>>;
}

const OK: Codes = [0];
const INVALID: Codes = [wsa.WSAEINVAL];
const NOT_A_SOCKET: Codes = [wsa.WSAENOTSOCK];
const STARTED: Codes = [0, wsa.WSA_IO_PENDING];
const NOT_CONNECTED: Codes = [wsa.WSAENOTCONN];
/** A socket whose attempt failed has no connection; the sources do not rank the two. */
const NEVER_CONNECTED: Codes = [wsa.WSAENOTCONN, wsa.WSAEINVAL];
/** Neither bound nor connected fits both. [WSPSEND-19] */
const UNBOUND: Codes = [wsa.WSAEINVAL, wsa.WSAENOTCONN];
/** What a transfer answers after the end of the connection: why it ended. [CLOSE-07] */
const RESET: Codes = [wsa.WSAECONNRESET];
const ABORTED: Codes = [wsa.WSAECONNABORTED];

/**
 * A descriptor that was handed over is good for WSPCloseSocket only; nobody makes another call on it. One
 * that is made must not reach the connection: it fails, or answers as one without a connection does.
 * [DUP-11, DUP-17]
 */
const HANDED_OVER: Codes = [wsa.WSAENOTSOCK, wsa.WSAENOTCONN, wsa.WSAEINVAL];

const GONE = { closed: NOT_A_SOCKET, 'never-existed': NOT_A_SOCKET } as const;

const TRANSFER = {
  unbound: UNBOUND,
  refused: NEVER_CONNECTED,
  connected: STARTED,
  'peer-closed': RESET,
  broken: ABORTED,
  ...GONE,
} as const;

export const STATE_TABLE: Readonly<Record<TableCall, TableRow>> = {
  WSPAccept: {
    clauses: ['ACCEPT-07', 'ACCEPT-08', 'CLOSESOCK-02'],
    otherwise: INVALID,
    cells: { listening: [wsa.WSAEWOULDBLOCK], ...GONE },
  },
  WSPBind: {
    clauses: ['BIND-02', 'CLOSESOCK-02'],
    otherwise: INVALID,
    cells: { unbound: OK, ...GONE },
  },
  WSPCloseSocket: {
    clauses: ['CLOSESOCK-01', 'CLOSESOCK-02'],
    otherwise: OK,
    cells: { duplicated: OK, ...GONE },
  },
  WSPConnect: {
    clauses: ['CONNECT-09', 'CONNECT-10', 'CONNECT-12', 'CLOSESOCK-02'],
    otherwise: INVALID,
    cells: {
      bound: [wsa.WSAEWOULDBLOCK],
      connecting: [wsa.WSAEALREADY, wsa.WSAEINVAL],
      connected: [wsa.WSAEISCONN],
      'peer-closed': [wsa.WSAEISCONN, wsa.WSAEINVAL],
      broken: [wsa.WSAEISCONN, wsa.WSAEINVAL],
      ...GONE,
    },
  },
  WSPDuplicateSocket: {
    clauses: ['DUPSOCK-01', 'DUP-18', 'CLOSESOCK-02'],
    otherwise: [wsa.WSAENOTCONN, wsa.WSAEINVAL],
    cells: {
      // A provider need not be able to hand a listener over. [DUP-14, DUP-18]
      listening: [0, wsa.WSAENOTCONN, wsa.WSAEINVAL, wsa.WSAEOPNOTSUPP],
      connected: OK,
      ...GONE,
    },
  },
  WSPEnumNetworkEvents: {
    clauses: ['EVT-05', 'CLOSESOCK-02'],
    otherwise: OK,
    cells: GONE,
  },
  WSPEventSelect: {
    clauses: ['EVT-02', 'EVT-05', 'CLOSESOCK-02'],
    otherwise: OK,
    cells: GONE,
  },
  WSPGetOverlappedResult: {
    clauses: ['GOR-03', 'CLOSE-06'],
    otherwise: INVALID,
    cells: GONE,
  },
  WSPGetQOSByName: {
    clauses: ['QOS-01', 'QOS-02'],
    otherwise: [wsa.WSAEOPNOTSUPP],
    cells: GONE,
  },
  WSPGetSockOpt: {
    clauses: ['GETOPT-01', 'GETOPT-02', 'CLOSESOCK-02'],
    otherwise: [0, wsa.WSAENOPROTOOPT],
    cells: GONE,
  },
  WSPSetSockOpt: {
    clauses: ['SETOPT-01', 'OPT-02', 'CLOSESOCK-02'],
    otherwise: [0, wsa.WSAENOPROTOOPT],
    cells: { 'peer-closed': [0, wsa.WSAENOPROTOOPT, wsa.WSAENOTCONN], ...GONE },
  },
  'WSPIoctl-address-list': {
    clauses: ['IOC-02', 'IOCTL-03', 'CLOSESOCK-02'],
    otherwise: OK,
    cells: GONE,
  },
  // The socket of this code is not looked at, whatever it is. [INIT-11]
  'WSPIoctl-extension': {
    clauses: ['INIT-11', 'EXT-01'],
    otherwise: OK,
    cells: { duplicated: OK },
  },
  WSPListen: {
    clauses: ['LISTEN-02', 'LISTEN-05', 'CLOSESOCK-02'],
    otherwise: INVALID,
    cells: {
      bound: OK,
      listening: OK,
      connecting: [wsa.WSAEISCONN, wsa.WSAEINVAL],
      connected: [wsa.WSAEISCONN],
      'peer-closed': [wsa.WSAEISCONN, wsa.WSAEINVAL],
      broken: [wsa.WSAEISCONN, wsa.WSAEINVAL],
      ...GONE,
    },
  },
  WSPRecv: {
    clauses: ['WSPRECV-05', 'CLOSE-06', 'CLOSE-07'],
    otherwise: NOT_CONNECTED,
    cells: TRANSFER,
  },
  WSPSend: {
    clauses: ['WSPSEND-12', 'WSPSEND-19', 'CLOSE-07'],
    otherwise: NOT_CONNECTED,
    cells: TRANSFER,
  },
  WSPRegisterMemory: {
    clauses: ['REGMEM-04', 'CLOSESOCK-02'],
    otherwise: NOT_CONNECTED,
    cells: { connected: OK, ...GONE },
  },
  WSPDeregisterMemory: {
    clauses: ['DEREGMEM-02', 'CLOSE-06'],
    otherwise: INVALID,
    cells: GONE,
  },
  WSPRegisterRdmaMemory: {
    clauses: ['REGRDMA-01', 'REGRDMA-05', 'CLOSESOCK-02'],
    otherwise: NOT_CONNECTED,
    cells: { connected: OK, ...GONE },
  },
  'WSPRegisterRdmaMemory-probe': {
    clauses: ['REGRDMA-03', 'REGRDMA-04', 'CLOSESOCK-02'],
    otherwise: [wsa.WSAEFAULT],
    cells: GONE,
  },
  WSPDeregisterRdmaMemory: {
    clauses: ['DEREGRDMA-01', 'CLOSE-06'],
    otherwise: INVALID,
    cells: GONE,
  },
  WSPRdmaWrite: { clauses: ['RDMA-05', 'RDMA-08'], otherwise: NOT_CONNECTED, cells: TRANSFER },
  WSPRdmaRead: { clauses: ['RDMA-05', 'RDMA-08'], otherwise: NOT_CONNECTED, cells: TRANSFER },
};

/** The codes that a call may answer in a state. */
export function allowedCodes(call: TableCall, state: SocketState): Codes {
  const { cells, otherwise } = STATE_TABLE[call];
  if (state !== 'duplicated') return cells[state] ?? otherwise;
  return cells.duplicated ?? [...otherwise, ...HANDED_OVER];
}

/** What WSPDuplicateSocket answers in a provider that cannot: a failure. [DUPSOCK-01, EXT-03] */
export function codesWithoutDuplication(state: SocketState): Codes {
  const { listening: most = [] } = STATE_TABLE.WSPDuplicateSocket.cells;
  const wanted = allowedCodes('WSPDuplicateSocket', state);
  return wanted.includes(wsa.WSAENOTSOCK) ? wanted : most.filter((code) => code !== 0);
}
