// A SAN provider that was started without a switch, and connections of it: what the measures below the
// switch stand on. Sources: STARTUP, EXT, CONNECT, ACCEPT.

import { openEnvironment, sanProvider } from '../index.js';
import type { HostEnvironment } from '../index.js';
import * as spi from '../provider/spi/index.js';
import { PATIENCE_NANOS } from './endpoint.js';
import type { HostPlan } from './host-plan.js';
import { hostOptions } from './host-plan.js';
import { now } from './machine.js';
import { breathe } from './breath.js';
import { Deadline, DeadlineError } from './measure.js';
import { SmallestUpcalls } from './upcalls.js';

/** A wait in the kernel lasts this long at most while there is something else to look at. */
const SLICE_NANOS = 20e6;

/** A started provider without a switch. Belongs to the thread that opened it. */
export class RawProvider {
  readonly environment: HostEnvironment;
  readonly table: spi.SanProcTable;
  readonly extensions: spi.SanExtensions;
  readonly upcalls: SmallestUpcalls;

  private constructor(
    environment: HostEnvironment,
    table: spi.SanProcTable,
    extensions: spi.SanExtensions,
    upcalls: SmallestUpcalls,
  ) {
    this.environment = environment;
    this.table = table;
    this.extensions = extensions;
    this.upcalls = upcalls;
  }

  /** Opens a NIC and starts the plan's SAN provider on it. Throws as openHost does, and WsaError. */
  static async open(plan: HostPlan): Promise<RawProvider> {
    const environment = await openEnvironment(hostOptions(plan));
    try {
      const provider = await environment.createProvider(plan.provider ?? sanProvider);
      const upcalls = new SmallestUpcalls();
      const table = spi.emptyProcTable();
      const result = provider.WSPStartupEx(
        spi.WSP_VERSION_2_2,
        spi.emptyWspData(),
        spi.tcpProtocolInfo(),
        upcalls,
        table,
      );
      if (result !== 0) throw new spi.WsaError(result, { call: 'WSPStartupEx' });
      const procedures = asSanTable(table);
      return new RawProvider(environment, procedures, fetchExtensions(procedures), upcalls);
    } catch (thrown) {
      await environment.close();
      throw thrown;
    }
  }

  /** Waits in the thread's loop until `done()`. Throws DeadlineError. */
  wait(done: () => boolean, what: string): void {
    const { progress } = this.environment;
    if (!progress.waitUntil(done, now() + PATIENCE_NANOS)) throw new DeadlineError(what);
  }

  async close(): Promise<void> {
    this.table.lpWSPCleanup(spi.ref(0));
    await this.environment.close();
  }
}

function asSanTable(table: spi.WSPProcTable): spi.SanProcTable {
  for (const slot of spi.SAN_PROC_TABLE_SLOTS) {
    if (table[slot] === null) throw new spi.WsaError(spi.WSAEINVALIDPROCTABLE, { call: slot });
  }
  return table as spi.SanProcTable;
}

function fetchExtensions(table: spi.SanProcTable): spi.SanExtensions {
  const fetched: Record<string, unknown> = {};
  for (const { name, guid, required } of spi.SAN_EXTENSIONS) {
    const box: spi.ExtensionFunctionPointer = { value: null };
    const errno = spi.ref(0);
    const result = table.lpWSPIoctl(
      0,
      spi.SIO_GET_EXTENSION_FUNCTION_POINTER,
      spi.guidBytes(guid),
      spi.GUID_BYTES,
      box,
      spi.EXTENSION_FUNCTION_POINTER_BYTES,
      spi.ref(0),
      null,
      null,
      null,
      errno,
    );
    if (result !== 0 && required) throw new spi.WsaError(errno.value, { call: name });
    fetched[name] = result === 0 ? box.value : null;
  }
  return fetched as unknown as spi.SanExtensions;
}

const errno = spi.ref(0);

function must(call: string, isGood: boolean): void {
  if (!isGood) throw new spi.WsaError(errno.value, { call });
}

function newSocket(raw: RawProvider, port: number): number {
  const { table, environment } = raw;
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED } = spi;
  const s = table.lpWSPSocket(
    AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    null,
    0,
    WSA_FLAG_OVERLAPPED,
    errno,
  );
  must('WSPSocket', s !== spi.INVALID_SOCKET);
  const name = spi.sockaddrIn(environment.address, port);
  must('WSPBind', table.lpWSPBind(s, name, name.length, errno) === 0);
  return s;
}

/** A listening descriptor on `port`; ports are the provider's own, since there is no TCP/IP here. */
export function listenRaw(raw: RawProvider, port: number, backlog = 1): number {
  const listener = newSocket(raw, port);
  const event = raw.upcalls.newEvent();
  const { table } = raw;
  must('WSPEventSelect', table.lpWSPEventSelect(listener, event, spi.FD_ACCEPT, errno) === 0);
  must('WSPListen', table.lpWSPListen(listener, backlog, errno) === 0);
  return listener;
}

/** Accepts one connection within `PATIENCE_NANOS`, with an eye on `signal`. */
export async function acceptRaw(
  raw: RawProvider,
  listener: number,
  signal: AbortSignal,
): Promise<number> {
  const { table, environment } = raw;
  const deadline = new Deadline(PATIENCE_NANOS, 'the connection request');
  let s = spi.INVALID_SOCKET;
  const isOver = (): boolean => {
    s = table.lpWSPAccept(listener, null, null, () => spi.CF_ACCEPT, null, errno);
    return s !== spi.INVALID_SOCKET || errno.value !== spi.WSAEWOULDBLOCK;
  };
  while (!environment.progress.waitUntil(isOver, now() + SLICE_NANOS)) {
    await breathe(signal);
    deadline.check();
  }
  must('WSPAccept', s !== spi.INVALID_SOCKET);
  return s;
}

export function connectRaw(
  raw: RawProvider,
  address: string,
  port: number,
  localPort: number,
): number {
  const { table, upcalls } = raw;
  const s = newSocket(raw, localPort);
  const event = upcalls.newEvent();
  must('WSPEventSelect', table.lpWSPEventSelect(s, event, spi.FD_CONNECT, errno) === 0);
  const name = spi.sockaddrIn(address, port);
  const result = table.lpWSPConnect(s, name, name.length, null, null, null, null, errno);
  must('WSPConnect', result === 0 || errno.value === spi.WSAEWOULDBLOCK);
  raw.wait(() => upcalls.isSet(event), 'WSPConnect');
  const events = spi.createNetworkEvents();
  must('WSPEnumNetworkEvents', table.lpWSPEnumNetworkEvents(s, event, events, errno) === 0);
  errno.value = events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
  must('WSPConnect', errno.value === 0);
  return s;
}
