// Every stop of the contract verifier, as data: its stable code, who broke the contract, the clauses, and
// what it means. docs/verifier.md lists the same; a test keeps the two in step. A code is never reused.

export interface Stop {
  /** Who broke the contract: the provider, or the switch (or program) that calls it. */
  readonly party: 'provider' | 'caller';
  readonly clauses: readonly string[];
  readonly meaning: string;
}

const provider = (clauses: string, meaning: string): Stop => ({
  party: 'provider',
  clauses: clauses.split(' '),
  meaning,
});

const caller = (clauses: string, meaning: string): Stop => ({
  party: 'caller',
  clauses: clauses.split(' '),
  meaning,
});

export const STOPS = {
  // Completion
  COMPLETED_TWICE: provider('OVL-13 OVL-16', 'An operation that was over is completed again.'),
  COMPLETED_UNKNOWN: provider('UPC-05', 'A WSAOVERLAPPED is completed that no operation has.'),
  COMPLETED_FAILED_CALL: provider(
    'OVL-16',
    'An operation whose call failed is completed all the same.',
  ),
  NOTIFIED_IMMEDIATE: provider(
    'WSPSEND-06 WSPSEND-14',
    'An operation whose call returned 0 is also notified.',
  ),
  NOTIFIED_SUPPRESSED: provider(
    'OVL-05',
    'The upcall is made although the low bit of hEvent is set.',
  ),
  INTERNAL_WITHOUT_UPCALL: provider(
    'OVL-06 OVL-09',
    'The provider takes Internal out of progress itself although an upcall is due.',
  ),
  PUBLISHED_EARLY: provider(
    'OVL-11 OVL-12',
    'A field of the WSAOVERLAPPED is written after Internal said that the operation is over.',
  ),
  TOUCHED_AFTER_COMPLETION: provider(
    'OVL-08 OVL-13',
    'A WSAOVERLAPPED is written after its upcall, when it may belong to the next operation.',
  ),
  NEVER_COMPLETED: provider(
    'CLOSE-02 CLOSE-03 OVL-15',
    'The handle of a socket is given back while operations of it are pending.',
  ),
  BYTE_COUNT: provider(
    'WSPSEND-07 WSPRECV-08',
    'A transfer reports more or fewer bytes than it had to move.',
  ),
  BYTES_ON_FAILURE: provider('OVL-18', 'A transfer that failed reports bytes.'),
  COUNT_WRITTEN_WHILE_PENDING: provider(
    'WSPSEND-06',
    'A call that returned WSA_IO_PENDING has written the number of bytes.',
  ),
  RESULT_BEFORE_COMPLETION: provider(
    'GOR-02 OVL-10',
    'WSPGetOverlappedResult says that a pending operation is over.',
  ),
  RESULT_MISMATCH: provider(
    'GOR-02 GOR-04 OVL-10',
    'WSPGetOverlappedResult says something else than the WSAOVERLAPPED.',
  ),
  RETURN_VALUE: provider('W1.1 GOR-02', 'A function returns what its type does not have.'),
  FORBIDDEN_ERROR: provider(
    'WSPSEND-12 WSPSEND-13 BIND-03 CLOSESOCK-01 CLEANUP-04',
    'A function fails with a code that its table excludes.',
  ),
  // Arrays and memory
  BUFFER_ARRAY_READ_LATE: provider(
    'WSPSEND-03 WSPRECV-08',
    'The WSABUF array is read after the call returned.',
  ),
  UNREGISTERED_ACCEPTED: provider(
    'WSPSEND-02 MEM-05 RDMA-02',
    'A transfer is started with memory or a handle that is not registered on its socket.',
  ),
  BUSY_DEREGISTERED: provider(
    'DEREGMEM-02 MEM-09',
    'WSPDeregisterMemory succeeds while a transfer uses the memory.',
  ),
  UNKNOWN_HANDLE_ACCEPTED: provider(
    'DEREGMEM-02 DEREGRDMA-01',
    'Deregistration succeeds for what is not registered on that socket.',
  ),
  SHORT_DESCRIPTOR_ACCEPTED: provider(
    'REGRDMA-03',
    'WSPRegisterRdmaMemory succeeds with less room than it stores.',
  ),
  EXPOSURE_OUTLIVED: provider(
    'DEREGRDMA-02 MEM-05',
    'A transfer succeeds through a descriptor that was deregistered before it started.',
  ),
  EXPOSURE_FOREIGN: provider(
    'REGRDMA-06 MEM-04',
    'A transfer succeeds through a descriptor of another connection.',
  ),
  EXPOSURE_RANGE: provider('RDMA-10 MEM-03', 'A transfer succeeds outside the exposed range.'),
  EXPOSURE_RIGHTS: provider('RDMA-10 MEM-06', 'A transfer succeeds against the right given.'),
  STALE_MAPPING: provider(
    'CACHECB-02 MEM-05 CACHE-02',
    'A transfer goes through a registration whose memory was freed, moved or detached since.',
  ),
  // Data
  DATA_ORDER: provider(
    'WSPSEND-04 OVL-14',
    'A receive has another message than the one that its place in the order gives it.',
  ),
  DATA_CHANGED: provider('ARCH-02', 'A message arrives with other bytes than it was sent with.'),
  // Sockets and handles
  NO_HANDLE: provider('SOCKET-03 ACCEPT-04', 'A socket is made without WPUCreateSocketHandle.'),
  DESCRIPTOR_IN_UPCALL: provider(
    'COMP-07 UPC-04',
    "An upcall names a socket by the provider's own descriptor.",
  ),
  UNKNOWN_HANDLE_IN_UPCALL: provider(
    'UPC-04 UPC-05',
    'An upcall names a handle that WPUCreateSocketHandle never gave.',
  ),
  UPCALL_AFTER_LAST: provider(
    'CLOSE-03',
    'An upcall names a handle after WPUCloseSocketHandle of it.',
  ),
  GAVE_UP_OPEN_SOCKET: provider(
    'CLOSE-04',
    'WPUCloseSocketHandle is called before WSPCloseSocket or the last WSPCleanup.',
  ),
  CLOSED_INSIDE_UPCALL: provider(
    'CLOSE-03',
    'WPUCloseSocketHandle is called while a completion upcall of the socket has not returned.',
  ),
  CLOSED_SOCKET_SERVED: provider(
    'CLOSESOCK-02 CLOSE-06',
    'A call on a closed descriptor ends with something else than WSAENOTSOCK.',
  ),
  DESCRIPTOR_REUSED: provider('DUP-17', 'A descriptor is given out that is still open.'),
  CONDITION_OUTSIDE_ACCEPT: provider(
    'ACCEPT-02',
    'The condition function is called outside of its WSPAccept, or twice.',
  ),
  CONDITION_NOT_CALLED: provider('ACCEPT-02', 'WSPAccept accepts without asking.'),
  RECURSION: provider('UPC-05', 'Upcalls are nested without end.'),
  // The caller
  CALL_AFTER_CLOSE: caller('CLOSESOCK-02', 'A call names a descriptor that was closed.'),
  HANDLE_IN_CALL: caller('COMP-07', "A call names a socket by the switch's own handle."),
  OVERLAPPED_REUSED: caller('OVL-13 WSPSEND-09', 'A WSAOVERLAPPED is used while it is in use.'),
  EVENT_CHANGED: caller('OVL-08', 'hEvent was changed while the operation was pending.'),
  BUFFER_CHANGED: caller('WSPSEND-03', 'The bytes of a send were changed while it was pending.'),
  UNREGISTERED_BUFFER: caller(
    'WSPSEND-02 WSPRECV-01 RDMA-02',
    'A transfer names memory that is not registered on its socket.',
  ),
  FREED_WHILE_REGISTERED: caller(
    'MEM-05 CACHE-02',
    'Memory is freed while a registration that was not given back covers it in a transfer.',
  ),
  BEYOND_CREDITS: caller(
    'XFER-06 SESS-04 W14.6',
    'A message is sent for which the peer has posted no receive.',
  ),
  BEYOND_DEPTH: caller(
    'IMPL-01 WSPSEND-20',
    'More operations are started on a socket than the depth that was named to the verifier.',
  ),
  BAD_SEND: caller(
    'WSPSEND-05 WSPSEND-08 OVL-01',
    'A transfer has flags, a routine, or no overlapped.',
  ),
} as const satisfies Record<string, Stop>;

export type StopCode = keyof typeof STOPS;

/** A place in the program that matters to a violation: where memory was registered, freed, ... */
export interface Place {
  readonly what: string;
  readonly stack: string;
}

/** One breach of the contract. Plain data. */
export interface Violation {
  readonly code: StopCode;
  readonly party: 'provider' | 'caller';
  readonly clauses: readonly string[];
  /** What exactly: numbers and names. */
  readonly detail: string;
  /** Where the call was that showed it. */
  readonly stack: string;
  readonly places: readonly Place[];
  /** The last calls and upcalls of the host, oldest first. */
  readonly events: readonly string[];
}

/** What a verifier that stops throws, through the provider or through the caller. */
export class VerifierStop extends Error {
  override readonly name = 'VerifierStop';

  constructor(readonly violation: Violation) {
    super(sentenceOf(violation));
  }
}

/** `STOP NOTIFIED_SUPPRESSED (provider): ... [OVL-05]` */
export function sentenceOf({ code, party, clauses, detail }: Violation): string {
  const cited = clauses.join(' ');
  return `STOP ${code} (${party}): ${STOPS[code].meaning} ${detail} [${cited}]`;
}

/** The whole of a violation for people, several lines. */
export function reportOf(violation: Violation): string {
  const { stack, places, events } = violation;
  const frames = (text: string): string[] => text.split('\n').slice(1, 9);
  return [
    sentenceOf(violation),
    ...frames(stack),
    ...places.flatMap((place) => [`  ${place.what}:`, ...frames(place.stack)]),
    '  the last events:',
    ...events.map((line) => `    ${line}`),
  ].join('\n');
}
