// The parameters of every function of the contract by name, and how their values are shown: enough to
// read a trace, nothing that keeps the caller's memory alive. Sources: the headers, by UPC-01, SPI-01.

import { errorName } from '../spi/errors.js';
import type { WSAOVERLAPPED } from '../spi/winsock2.js';
import { INVALID_SOCKET, SOCKET_ERROR } from '../spi/winsock2.js';

const TRANSFER = 'lpOverlapped lpCompletionRoutine lpThreadId lpErrno';
const RDMA = `s lpBuffers dwBufferCount descriptor descriptorLength offset count dwFlags ${TRANSFER}`;

/** In the order of the headers; names that say little are left out of traces with a dash in front. */
const PARAMETERS: Readonly<Record<string, string>> = {
  WSPAccept: 's addr addrlen lpfnCondition dwCallbackData lpErrno',
  WSPBind: 's name namelen lpErrno',
  WSPCleanup: 'lpErrno',
  WSPCloseSocket: 's lpErrno',
  WSPConnect: 's name namelen lpCallerData lpCalleeData lpSQOS lpGQOS lpErrno',
  WSPDuplicateSocket: 's dwProcessId lpProtocolInfo lpErrno',
  WSPEnumNetworkEvents: 's hEventObject lpNetworkEvents lpErrno',
  WSPEventSelect: 's hEventObject lNetworkEvents lpErrno',
  WSPGetOverlappedResult: 's lpOverlapped lpcbTransfer fWait lpdwFlags lpErrno',
  WSPGetSockOpt: 's level optname optval optlen lpErrno',
  WSPGetQOSByName: 's lpQOSName lpQOS lpErrno',
  WSPIoctl: `s dwIoControlCode lpvInBuffer cbInBuffer lpvOutBuffer cbOutBuffer lpcbBytesReturned ${TRANSFER}`,
  WSPListen: 's backlog lpErrno',
  WSPRecv: `s lpBuffers dwBufferCount count lpFlags ${TRANSFER}`,
  WSPSend: `s lpBuffers dwBufferCount count dwFlags ${TRANSFER}`,
  WSPSetSockOpt: 's level optname optval optlen lpErrno',
  WSPSocket: 'af type protocol lpProtocolInfo g dwFlags lpErrno',
  WSPRegisterMemory: 's lpBuffer dwBufferLength dwFlags lpErrno',
  WSPDeregisterMemory: 's Handle lpErrno',
  WSPRegisterRdmaMemory: 's lpBuffer dwBufferLength dwFlags descriptor descriptorLength lpErrno',
  WSPDeregisterRdmaMemory: 's descriptor descriptorLength lpErrno',
  WSPRdmaWrite: RDMA,
  WSPRdmaRead: RDMA,
  WSPMemoryRegistrationCacheCallback: 'lpvAddress Size lpErrno',
  WPUCloseEvent: 'hEvent lpErrno',
  WPUCloseSocketHandle: 's lpErrno',
  WPUCreateEvent: 'lpErrno',
  WPUCreateSocketHandle: 'dwCatalogEntryId dwContext lpErrno',
  WPUQuerySocketHandleContext: 's lpContext lpErrno',
  WPUSetEvent: 'hEvent lpErrno',
  WPUResetEvent: 'hEvent lpErrno',
  WPUCompleteOverlappedRequest: 's lpOverlapped dwError cbTransferred lpErrno',
};

/** Functions that answer BOOL: true is success. */
const BOOLEANS = /^(WSPGetOverlappedResult|WSPGetQOSByName|WPU(Set|Reset|Close)Event)$/;
/** Functions that answer a descriptor, a handle or an event. */
const VALUES: Readonly<Record<string, number>> = {
  WSPAccept: INVALID_SOCKET,
  WSPSocket: INVALID_SOCKET,
  WPUCreateSocketHandle: INVALID_SOCKET,
  WSPRegisterMemory: 0,
  WPUCreateEvent: 0,
};

const NOT_SHOWN = new Set(['lpErrno', 'lpCompletionRoutine', 'lpThreadId', 'dwBufferCount']);

/** A value as a trace keeps it. */
export type Shown = string | number | boolean | null;

/** Numbers every WSAOVERLAPPED that is seen, so that a trace can name it. */
export class OverlappedNames {
  readonly #numbers = new WeakMap<object, number>();
  #next = 1;

  of(overlapped: object): string {
    let number = this.#numbers.get(overlapped);
    if (number === undefined) {
      number = this.#next++;
      this.#numbers.set(overlapped, number);
    }
    return `ov${number}`;
  }
}

/** The parameters worth showing, by name, as they are now. */
export function shownParameters(
  call: string,
  parameters: readonly unknown[],
  names: OverlappedNames,
): Record<string, Shown> {
  const known = PARAMETERS[call]?.split(' ') ?? [];
  const shown: Record<string, Shown> = {};
  for (const [index, value] of parameters.entries()) {
    const name = known[index] ?? `p${index}`;
    if (!NOT_SHOWN.has(name)) shown[name] = shownValue(value, names);
  }
  return shown;
}

/** Whether a call failed, and with which code; 0 when it did not. */
export function errorOf(call: string, returned: unknown, parameters: readonly unknown[]): number {
  const failure = BOOLEANS.test(call) ? false : (VALUES[call] ?? SOCKET_ERROR);
  if (returned !== failure) return 0;
  const errno = parameters.at(-1) as { readonly value?: unknown } | null | undefined;
  return typeof errno?.value === 'number' ? errno.value : -1;
}

/** What came back, for people. */
export function resultText(call: string, returned: unknown, error: number): string {
  if (error !== 0) return errorName(error);
  return call in VALUES ? String(returned) : 'ok';
}

function shownValue(value: unknown, names: OverlappedNames): Shown {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return buffersText(value);
  if (typeof value === 'function') return 'function';
  if (typeof value !== 'object' || value === null) return plain(value);
  if (isOverlapped(value)) return `${names.of(value)} hEvent=${value.hEvent}`;
  return 'value' in value ? plain(value.value) : '{}';
}

function plain(value: unknown): Shown {
  switch (typeof value) {
    case 'number':
    case 'boolean':
    case 'string':
      return value;
    default:
      return value === null ? null : typeof value;
  }
}

function buffersText(buffers: readonly unknown[]): string {
  const lengths = buffers.map((one) => {
    const length = (one as { readonly len?: unknown } | null)?.len;
    return typeof length === 'number' ? length : '?';
  });
  return `[${lengths.join(' ')}]`;
}

function isOverlapped(value: object): value is WSAOVERLAPPED {
  return 'InternalHigh' in value;
}
