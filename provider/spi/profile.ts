// Profiles, as data: where documents, real Windows and the shipped switch differ, the code asks a
// field here and never the profile's name. A field is added with the clause that names the
// difference. Sources: wsd-spec sections 0, 17 and 19; the TRAP clauses of winsock-spec; W14.

import {
  WSA_OPERATION_ABORTED,
  WSAECONNABORTED,
  WSAECONNRESET,
  WSAENETDOWN,
  WSAENOBUFS,
} from './error-codes.js';

export type ProfileName = 'documented' | 'windows' | 'real-switch' | 'hostile';

export interface Profile {
  readonly name: ProfileName;

  // What the application sees -------------------------------------------------------------------
  /**
   * A nonblocking stream send that does not fit takes what fits; otherwise all or WSAEWOULDBLOCK.
   * [W4.6]
   */
  readonly partialNonblockingSend: boolean;
  /** A send with a routine and no WSAOVERLAPPED is overlapped; otherwise synchronous. [W4.4] */
  readonly routineAloneIsOverlapped: boolean;
  /**
   * A nonoverlapped socket given a WSAOVERLAPPED ignores it; otherwise it blocks and fills it in.
   * [W4.5]
   */
  readonly nonoverlappedIgnoresOverlapped: boolean;
  /** send() on a socket connected to a broadcast address needs SO_BROADCAST. [W4.20] */
  readonly connectedBroadcastNeedsOption: boolean;
  /** WSPSendTo and WSASendMsg bind an unbound datagram socket; otherwise WSAEINVAL. [W5.3, W6.5] */
  readonly implicitBind: boolean;
  /** Which call reports an earlier ICMP port unreachable of WSASendMsg. [W6.7] */
  readonly portUnreachableReportedBy: 'send' | 'receive';
  /** SIO_FLUSH discards queued sends; otherwise it is refused. [W9.10.3] */
  readonly flushSupported: boolean;
  /** What closesocket ends a pending TCP receive with. [W9.10.1] */
  readonly closedReceiveError: number;
  /** Thread exit spares operations with a completion port and no event. [W9.10.2] */
  readonly threadExitSparesPortOperations: boolean;
  /** A wait for a pending operation whose event is already set returns success. [W9.11.3] */
  readonly signalledEventEndsWait: boolean;
  /** WSAGetOverlappedResult writes the count of a failed operation, too. [W9.11.4] */
  readonly failedResultWritesCount: boolean;
  /** New data, connections and urgent bytes are reported without a re-enabling call. [W10.4] */
  readonly arrivalsReportAgain: boolean;
  /** A receive that fails for its arguments re-enables FD_READ. [W10.3, W10.4] */
  readonly failedReceiveReenables: boolean;
  /** FD_CLOSE does not wait until what came before the end has been read. [W10.8] */
  readonly closePrecedesData: boolean;
  /** The error of FD_CLOSE when the peer has reset the connection. [W10.8] */
  readonly resetCloseError: number;

  // What the provider answers -------------------------------------------------------------------
  /** A transfer posted to a full queue. [WSPSEND-20, IMPL-01] */
  readonly sendQueueFullError: number;
  /**
   * What receives pending at a connection loss end with; null: the connection's own error.
   * [W14.19]
   */
  readonly flushedReceiveError: number | null;
  /** WSPGetOverlappedResult waits when fWait is true; otherwise WSAENETDOWN. [GOR-05] */
  readonly overlappedResultWaits: boolean;
  /**
   * When data calls complete: as it comes, never inline (IMPL-02), or inline whenever it is
   * possible.
   */
  readonly completion: 'natural' | 'always-pending' | 'inline-when-possible';
  /** Whether completions are reported in the order they happen; any order is legal. [WSPSEND-15] */
  readonly notificationOrder: 'completion' | 'shuffled';
  /** Sends and RDMA transfers in progress per socket; null: as many as the NIC allows. [IMPL-01] */
  readonly sendQueueDepth: number | null;
  /** Receives posted per socket; null: as many as the NIC allows. [IMPL-01] */
  readonly receiveQueueDepth: number | null;
  /** Provider descriptors are odd and sparse instead of small and dense. [COMP-06] */
  readonly oddHandles: boolean;
  /**
   * Registering the same memory of a socket again gives the same handle or descriptor and counts, or
   * every registration has its own. [REGMEM-03]
   */
  readonly repeatedRegistration: 'counted' | 'distinct';
  /** Bytes of one WSPSend; null: as many as the NIC allows. [OPT-03] */
  readonly maxMessageBytes: number | null;
  /** Bytes of one RDMA call; null: as many as the NIC allows. [OPT-04] */
  readonly maxRdmaBytes: number | null;

  // What the switch does ------------------------------------------------------------------------
  /** Buffers per RDMA call; null: as many as the transfer has. [RDMA-11] */
  readonly maxRdmaBuffersPerCall: number | null;
  /**
   * hEvent of transfers: an event, tagged or not, or else 0 where an upcall is wanted.
   * [WSPSEND-08]
   */
  readonly transferEvent: 'event' | 'zero-or-odd';
  /** Receives kept posted per connection; null: as many as the provider's queue takes. [SESS-08] */
  readonly receivesPosted: number | null;
  /**
   * The first WSPRegisterRdmaMemory of a connection asks for the length of a descriptor, with none.
   * [REGRDMA-04]
   */
  readonly probesDescriptorLength: boolean;
  /** Late calls with INVALID_SOCKET after WSPCloseSocket. [CLOSE-06] */
  readonly callsAfterClose: boolean;
}

const documented: Profile = {
  name: 'documented',
  partialNonblockingSend: true,
  routineAloneIsOverlapped: true,
  nonoverlappedIgnoresOverlapped: true,
  connectedBroadcastNeedsOption: true,
  implicitBind: false,
  portUnreachableReportedBy: 'send',
  flushSupported: true,
  closedReceiveError: WSA_OPERATION_ABORTED,
  threadExitSparesPortOperations: false,
  signalledEventEndsWait: false,
  failedResultWritesCount: false,
  arrivalsReportAgain: false,
  failedReceiveReenables: true,
  closePrecedesData: false,
  resetCloseError: WSAECONNRESET,
  sendQueueFullError: WSAENOBUFS,
  flushedReceiveError: null,
  overlappedResultWaits: true,
  completion: 'natural',
  notificationOrder: 'completion',
  sendQueueDepth: null,
  receiveQueueDepth: null,
  oddHandles: false,
  repeatedRegistration: 'counted',
  maxMessageBytes: null,
  maxRdmaBytes: null,
  maxRdmaBuffersPerCall: null,
  transferEvent: 'event',
  receivesPosted: null,
  probesDescriptorLength: false,
  callsAfterClose: false,
};

export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  documented,
  windows: {
    ...documented,
    name: 'windows',
    partialNonblockingSend: false,
    routineAloneIsOverlapped: false,
    nonoverlappedIgnoresOverlapped: false,
    connectedBroadcastNeedsOption: false,
    implicitBind: true,
    portUnreachableReportedBy: 'receive',
    flushSupported: false,
    closedReceiveError: WSAECONNABORTED,
    threadExitSparesPortOperations: true,
    signalledEventEndsWait: true,
    failedResultWritesCount: true,
    arrivalsReportAgain: true,
    failedReceiveReenables: false,
    closePrecedesData: true,
    resetCloseError: WSAECONNABORTED,
  },
  'real-switch': {
    ...documented,
    name: 'real-switch',
    sendQueueFullError: WSAENETDOWN,
    flushedReceiveError: WSA_OPERATION_ABORTED,
    overlappedResultWaits: false,
    completion: 'always-pending',
    sendQueueDepth: 16,
    receiveQueueDepth: 16,
    maxRdmaBuffersPerCall: 4,
    transferEvent: 'zero-or-odd',
    receivesPosted: 12,
    probesDescriptorLength: true,
    callsAfterClose: true,
  },
  hostile: {
    ...documented,
    name: 'hostile',
    completion: 'always-pending',
    notificationOrder: 'shuffled',
    sendQueueDepth: 1,
    receiveQueueDepth: 4,
    oddHandles: true,
    repeatedRegistration: 'distinct',
    // The least that holds a negotiation message (SESS-05), and a size that divides nothing.
    maxMessageBytes: 256,
    maxRdmaBytes: 1009,
    probesDescriptorLength: true,
    callsAfterClose: true,
  },
};

/** Whether `name` names a profile. */
export function isProfileName(name: string): name is ProfileName {
  return Object.hasOwn(PROFILES, name);
}
