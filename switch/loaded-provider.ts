// One SAN provider as the running switch knows it: its procedure table, extensions, addresses and
// the sizes it asks for. Fetched once at start-up; everything later goes through this object.
// Sources: INIT-02 to INIT-08, INIT-11, EXT-01 to EXT-03, SPI-01, IOC-02.

import * as wsa from '../provider/spi/error-codes.js';
import { parseAddressList } from '../provider/spi/address-list.js';
import { guidBytes, GUID_BYTES } from '../provider/spi/guid.js';
import { ipv4Number } from '../provider/spi/sockaddr.js';
import type { ServiceProvider } from '../provider/spi/provider.js';
import type { WSAPROTOCOL_INFO } from '../provider/spi/winsock2.js';
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

export interface LoadedProvider {
  readonly name: string;
  readonly providerId: string;
  readonly procs: SanProcTable;
  readonly extensions: SanExtensions;
  /** IPv4 addresses of its NICs, host order; refreshed by queryAddresses. */
  addresses: readonly number[];
}

/** What starting a provider came to: an error number and what was being done. */
export interface StartFailure {
  readonly step: string;
  readonly error: number;
}

/** Starts a provider; its procedure table, or the failure. STARTUP-02: the error is returned. */
export function startProvider(
  provider: ServiceProvider,
  info: WSAPROTOCOL_INFO,
  upcalls: WSPUpcallTableEx,
): WSPProcTable | StartFailure {
  const table = emptyProcTable();
  const error = provider.WSPStartupEx(WSP_VERSION_2_2, emptyWspData(), info, upcalls, table);
  return error === 0 ? table : { step: 'WSPStartupEx', error };
}

export function isStartFailure(value: object): value is StartFailure {
  return 'step' in value;
}

/** The rest of INIT-06 to INIT-08 for a SAN provider that has started. */
export function introduceProvider(
  provider: ServiceProvider,
  table: WSPProcTable,
  info: WSAPROTOCOL_INFO,
): LoadedProvider | StartFailure {
  for (const slot of SAN_PROC_TABLE_SLOTS) {
    if (table[slot] === null) return { step: slot, error: wsa.WSAEINVALIDPROCTABLE };
  }
  const procs = table as SanProcTable;
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
    return { name: provider.name, providerId: provider.providerId, procs, extensions, addresses };
  } finally {
    procs.lpWSPCloseSocket(s, errno);
  }
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
