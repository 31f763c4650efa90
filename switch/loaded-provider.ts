// One SAN provider as the running switch knows it: its procedure table, extensions, addresses and
// the sizes it asks for. Fetched once at start-up; everything later goes through this object. What it
// throws while a connection is being set up counts as a failure of the call.
// Sources: INIT-02 to INIT-08, INIT-10, INIT-11, EXT-01 to EXT-03, SPI-01, IOC-02, STARTUP-02;
// docs/decisions/0032-providers-that-throw.md.

import * as wsa from '../provider/spi/error-codes.js';
import { parseAddressList } from '../provider/spi/address-list.js';
import { guidBytes, GUID_BYTES } from '../provider/spi/guid.js';
import { ipv4Number } from '../provider/spi/sockaddr.js';
import { failureValue } from '../provider/spi/base-provider.js';
import type { Logger, ServiceProvider } from '../provider/spi/provider.js';
import type { Ref, WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import type { ExtensionFunctionPointer, SanExtensions } from '../provider/spi/ws2san.js';
import { EXTENSION_FUNCTION_POINTER_BYTES, SAN_EXTENSIONS } from '../provider/spi/ws2san.js';
import type { SanProcTable, WSPProcTable, WSPUpcallTableEx } from '../provider/spi/ws2spi.js';
import {
  emptyProcTable,
  emptyWspData,
  SAN_PROC_TABLE_SLOTS,
  WSP_VERSION_2_2,
} from '../provider/spi/ws2spi.js';
import { DerivedLimits } from './limits.js';

export interface LoadedProvider {
  readonly name: string;
  readonly providerId: string;
  readonly procs: SanProcTable;
  readonly extensions: SanExtensions;
  /** Connections can be handed from process to process. [DUPSOCK-01] */
  readonly handsOver: boolean;
  /** IPv4 addresses of its NICs, host order; refreshed by queryAddresses. */
  addresses: readonly number[];
  /** What its sizes come to. */
  readonly limits: DerivedLimits;
  /** Sockets of it that the switch has not closed: a removed provider ends with the last one. */
  companions: number;
}

/** What starting a provider came to: an error number and what was being done. */
export interface StartFailure {
  readonly step: string;
  readonly error: number;
  /** What the provider has thrown. */
  readonly cause?: unknown;
}

/** Starts a provider; its procedure table, or the failure. STARTUP-02: the error is returned. */
export function startProvider(
  provider: ServiceProvider,
  info: WSAPROTOCOL_INFO,
  upcalls: WSPUpcallTableEx,
): WSPProcTable | StartFailure {
  const step = 'WSPStartupEx';
  const table = emptyProcTable();
  const data = emptyWspData();
  let error: number;
  try {
    error = provider.WSPStartupEx(WSP_VERSION_2_2, data, info, upcalls, table);
  } catch (cause) {
    return { step, error: wsa.WSAEPROVIDERFAILEDINIT, cause };
  }
  if (error !== 0) return { step, error };
  // INIT-10: what expects to be called by an older version knows no extensions.
  if (provider.capabilities.kind !== 'san' || data.wVersion === WSP_VERSION_2_2) return table;
  endProvider(table);
  return { step, error: wsa.WSAVERNOTSUPPORTED };
}

/** Undoes a WSPStartupEx that succeeded. [CLEANUP-03] */
export function endProvider(table: Pick<WSPProcTable, 'lpWSPCleanup'>): void {
  try {
    table.lpWSPCleanup?.(ws.ref(0));
  } catch {
    // It has been told, which is all that can be done for it.
  }
}

export function isStartFailure(value: object): value is StartFailure {
  return 'step' in value;
}

/** The rest of INIT-06 to INIT-08 for a SAN provider that has started. */
export function introduceProvider(
  provider: ServiceProvider,
  table: WSPProcTable,
  info: WSAPROTOCOL_INFO,
  logger: Logger,
): LoadedProvider | StartFailure {
  for (const slot of SAN_PROC_TABLE_SLOTS) {
    if (table[slot] === null) return { step: slot, error: wsa.WSAEINVALIDPROCTABLE };
  }
  const procs = guarded(provider.name, table as SanProcTable, logger);
  const errno = ws.ref(0);
  const s = procs.lpWSPSocket(
    ws.AF_INET,
    ws.SOCK_STREAM,
    ws.IPPROTO_TCP,
    info,
    0,
    ws.WSA_FLAG_OVERLAPPED,
    errno,
  );
  if (s === ws.INVALID_SOCKET) return { step: 'WSPSocket', error: errno.value };
  try {
    const addresses = queryAddresses(procs, s);
    if (isStartFailure(addresses)) return addresses;
    const extensions = fetchExtensions(procs, s);
    if (isStartFailure(extensions)) return extensions;
    const { name, providerId, capabilities } = provider;
    const handsOver = capabilities.duplicate;
    const limits = new DerivedLimits();
    return { name, providerId, procs, extensions, handsOver, addresses, limits, companions: 0 };
  } finally {
    procs.lpWSPCloseSocket(s, errno);
  }
}

/** The data path, where a guard would be paid for with every message. */
const UNGUARDED: ReadonlySet<string> = new Set([
  'lpWSPSend',
  'lpWSPRecv',
  'lpWSPGetOverlappedResult',
]);

/** The same functions; one that throws has failed with WSAENETDOWN instead, and that is logged. */
function guarded(provider: string, table: SanProcTable, logger: Logger): SanProcTable {
  const entries = SAN_PROC_TABLE_SLOTS.map((slot) => {
    const procedure = table[slot] as (...parameters: readonly unknown[]) => unknown;
    if (UNGUARDED.has(slot)) return [slot, procedure];
    const guard = (...parameters: readonly unknown[]): unknown => {
      try {
        return procedure(...parameters);
      } catch (thrown) {
        logger.error('SAN provider has thrown', { provider, slot, thrown: String(thrown) });
        // lpErrno is the last parameter of every function.
        (parameters[parameters.length - 1] as Ref<number>).value = wsa.WSAENETDOWN;
        return failureValue(slot);
      }
    };
    return [slot, guard];
  });
  return Object.fromEntries(entries) as SanProcTable;
}

/** SIO_ADDRESS_LIST_QUERY on a socket of the provider; IPv4 addresses in host order. */
export function queryAddresses(procs: SanProcTable, s: number): number[] | StartFailure {
  const bytes = ws.ref(0);
  const errno = ws.ref(0);
  let output = new Uint8Array(256);
  for (;;) {
    const code = ws.SIO_ADDRESS_LIST_QUERY;
    const size = output.length;
    if (procs.lpWSPIoctl(s, code, null, 0, output, size, bytes, null, null, null, errno) === 0)
      break;
    // IOCTL-04: too short is WSAEFAULT with the needed size; anything else is a failure.
    if (errno.value !== wsa.WSAEFAULT || bytes.value <= size) {
      return { step: 'SIO_ADDRESS_LIST_QUERY', error: errno.value };
    }
    output = new Uint8Array(bytes.value);
  }
  const list = parseAddressList(output, bytes.value);
  if (list === null) return { step: 'SIO_ADDRESS_LIST_QUERY', error: wsa.WSAEINVAL };
  const addresses: number[] = [];
  for (const endpoint of list) {
    const address = endpoint.family === ws.AF_INET ? ipv4Number(endpoint.ip) : null;
    if (address !== null) addresses.push(address);
  }
  return addresses;
}

function fetchExtensions(procs: SanProcTable, s: number): SanExtensions | StartFailure {
  const found: Record<string, ((...args: never[]) => unknown) | null> = {};
  const bytes = ws.ref(0);
  const errno = ws.ref(0);
  for (const { name, guid, required } of SAN_EXTENSIONS) {
    const box: ExtensionFunctionPointer = { value: null };
    const failed =
      procs.lpWSPIoctl(
        s,
        ws.SIO_GET_EXTENSION_FUNCTION_POINTER,
        guidBytes(guid),
        GUID_BYTES,
        box,
        EXTENSION_FUNCTION_POINTER_BYTES,
        bytes,
        null,
        null,
        null,
        errno,
      ) !== 0;
    // EXT-02, EXT-03: an optional one may be missing, whatever the provider answers to say so.
    if (required && (failed || box.value === null)) {
      return { step: name, error: failed ? errno.value : wsa.WSAEOPNOTSUPP };
    }
    found[name] = failed ? null : box.value;
  }
  return found as unknown as SanExtensions;
}
