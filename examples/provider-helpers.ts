// What the example below the switch needs of one: the upcalls that a SAN provider makes when every
// outcome is polled, its extension functions, and a bounded wait.

import { openEnvironment, sanProvider } from '../index.js';
import type { HostEnvironment } from '../index.js';
import * as spi from '../provider/spi/index.js';

/** Turns of the progress loop before a wait gives up. */
const TURNS_MAX = 10_000_000;

/** A host with the reference SAN provider started on it, and no switch. */
export interface RawHost {
  readonly host: HostEnvironment;
  readonly table: spi.SanProcTable;
  /** Throws WsaError when the provider does not have it. */
  extension<Name extends keyof spi.SanExtensions>(name: Name): NonNullable<spi.SanExtensions[Name]>;
}

export async function openRawHost(fabric: string, address: string): Promise<RawHost> {
  const host = await openEnvironment({ fabric, address, engine: 'inline' });
  const provider = await host.createProvider(sanProvider);
  const table = spi.emptyProcTable();
  const info = spi.tcpProtocolInfo();
  const error = provider.WSPStartupEx(0x0202, spi.emptyWspData(), info, upcalls(), table);
  if (error !== 0) throw new spi.WsaError(error, { call: 'WSPStartupEx' });
  const procedures = table as spi.SanProcTable;
  return { host, table: procedures, extension: (name) => fetchExtension(procedures, name) };
}

/** Handles out of a counter, and events that nobody waits for: outcomes are asked for instead. */
function upcalls(): spi.WSPUpcallTableEx {
  let handle = 1024;
  const used: Partial<spi.WSPUpcallTableEx> = {
    lpWPUCreateSocketHandle: () => (handle += 4),
    lpWPUCloseSocketHandle: () => 0,
    lpWPUSetEvent: () => true,
    lpWPUResetEvent: () => true,
  };
  return used as spi.WSPUpcallTableEx;
}

function fetchExtension<Name extends keyof spi.SanExtensions>(
  table: spi.SanProcTable,
  name: Name,
): NonNullable<spi.SanExtensions[Name]> {
  const guid = spi.guidBytes(spi.SAN_EXTENSIONS.find((one) => one.name === name)?.guid ?? '');
  const box: spi.ExtensionFunctionPointer = { value: null };
  const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
  const errno = spi.ref(0);
  table.lpWSPIoctl(0, code, guid, guid.length, box, 8, spi.ref(0), null, null, null, errno);
  if (box.value === null) throw new spi.WsaError(errno.value, { call: name });
  return box.value as NonNullable<spi.SanExtensions[Name]>;
}

/** Drives the hosts of this thread until `done()`. */
export function waitFor(raw: RawHost, done: () => boolean): void {
  for (let turn = 0; !done(); turn++) {
    if (turn === TURNS_MAX) throw new Error('nothing happened for too long');
    raw.host.progress.poll();
  }
}
