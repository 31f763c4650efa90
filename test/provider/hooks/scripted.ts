// A provider that does exactly what a test says, wrapped in a hook: two connected sockets' worth of
// procedures that answer success until they are replaced. It must not know any hook.

import type { ProviderHook } from '../../../provider/hooks/index.js';
import * as spi from '../../../provider/spi/index.js';

/** What the provider below answers; a test replaces what it needs. */
export interface Script {
  socket: number;
  accept: spi.LPWSPACCEPT;
  post: (
    overlapped: spi.WSAOVERLAPPED,
    buffers: readonly spi.WSABUF[],
    errno: spi.Ref<number>,
    count: spi.Ref<number> | null,
  ) => number;
  result: spi.LPWSPGETOVERLAPPEDRESULT;
  other: (call: string, errno: spi.Ref<number>) => number;
  register: number;
  expose: (block: Uint8Array | null, room: spi.Ref<number>) => number;
  /** Set by the start: what the provider may call. */
  upcalls: spi.WSPUpcallTableEx;
}

export interface Scripted {
  readonly script: Script;
  /** The upcalls above the hook. */
  readonly outer: spi.WSPUpcallTableEx;
  readonly procs: spi.SanProcTable;
  readonly errno: spi.Ref<number>;
  readonly extension: <Name extends keyof spi.SanExtensions>(
    name: Name,
  ) => NonNullable<spi.SanExtensions[Name]>;
  /** WSPSocket with the handle that the provider asks for inside. */
  readonly open: (descriptor?: number) => number;
}

/** The first handle that the upcalls give; they count up by 4. */
export const FIRST_HANDLE = 0x7000;

const PENDING = (errno: spi.Ref<number>): number => spi.fail(errno, spi.WSA_IO_PENDING);

/** Starts a scripted provider inside of a hook. */
export function scripted(hook: ProviderHook): Scripted {
  const outer = upcallTable();
  const script: Script = {
    socket: 0x101,
    accept: () => spi.INVALID_SOCKET,
    post: (overlapped, _buffers, errno) => {
      overlapped.Internal = spi.WSS_OPERATION_IN_PROGRESS;
      return PENDING(errno);
    },
    result: (_s, _ov, _bytes, _wait, _flags, errno) => {
      errno.value = spi.WSA_IO_INCOMPLETE;
      return false;
    },
    other: () => 0,
    register: 9,
    expose: (block, room) => {
      block?.fill(5);
      room.value = 8;
      return 0;
    },
    upcalls: outer,
  };
  const provider = hook({
    name: 'scripted',
    providerId: '11111111-2222-3333-4444-555555555555',
    capabilities: {
      kind: 'san',
      rdmaRead: true,
      registrationCacheCallback: false,
      qos: false,
      maxMessageSize: null,
      maxRdmaSize: null,
      rdmaThresholdSize: null,
      duplicate: false,
    },
    WSPStartupEx: (_version, _data, _info, upcalls, table) => {
      script.upcalls = upcalls;
      Object.assign(table ?? {}, proceduresOf(script));
      return 0;
    },
  });
  const table = spi.emptyProcTable();
  provider.WSPStartupEx(0x0202, spi.emptyWspData(), spi.tcpProtocolInfo(), outer, table);
  const procs = table as spi.SanProcTable;
  const errno = spi.ref(0);
  return {
    script,
    outer,
    procs,
    errno,
    extension: (name) => fetch(procs, name),
    open: (descriptor = 0x101) => {
      script.socket = descriptor;
      return procs.lpWSPSocket(2, 1, 6, null, 0, 1, errno);
    },
  };
}

function upcallTable(): spi.WSPUpcallTableEx {
  let handle = FIRST_HANDLE - 4;
  const used: Partial<spi.WSPUpcallTableEx> = {
    lpWPUCreateSocketHandle: () => (handle += 4),
    lpWPUCloseSocketHandle: () => 0,
    lpWPUSetEvent: () => true,
    lpWPUCompleteOverlappedRequest: (_s, overlapped, error, bytes) => {
      overlapped.InternalHigh = bytes;
      overlapped.Internal = error;
      return 0;
    },
  };
  const slots = spi.UPCALL_TABLE_EX_SLOTS.map((slot) => [slot, () => 0]);
  return { ...(Object.fromEntries(slots) as unknown as spi.WSPUpcallTableEx), ...used };
}

function proceduresOf(script: Script): Partial<spi.SanProcTable> {
  const other =
    (call: string) =>
    (...parameters: unknown[]): number =>
      script.other(call, parameters.at(-1) as spi.Ref<number>);
  const extensions = extensionsOf(script, other);
  return {
    lpWSPSocket: (_af, _type, _protocol, _info, _g, _flags, errno) => {
      script.upcalls.lpWPUCreateSocketHandle(0, null, errno);
      return script.socket;
    },
    lpWSPAccept: (...parameters) => script.accept(...parameters),
    lpWSPBind: other('WSPBind'),
    lpWSPConnect: other('WSPConnect'),
    lpWSPListen: other('WSPListen'),
    lpWSPCloseSocket: other('WSPCloseSocket'),
    lpWSPCleanup: () => 0,
    lpWSPDuplicateSocket: other('WSPDuplicateSocket'),
    lpWSPEventSelect: other('WSPEventSelect'),
    lpWSPSend: (_s, buffers, _n, count, _flags, ov, _fn, _thread, errno) =>
      ov === null ? spi.fail(errno, spi.WSAEINVAL) : script.post(ov, buffers ?? [], errno, count),
    lpWSPRecv: (_s, buffers, _n, count, _flags, ov, _fn, _thread, errno) =>
      ov === null ? spi.fail(errno, spi.WSAEINVAL) : script.post(ov, buffers ?? [], errno, count),
    lpWSPGetOverlappedResult: (...parameters) => script.result(...parameters),
    lpWSPIoctl: (_s, _code, input, _cbIn, output) => {
      const guid = input === null ? null : spi.guidText(input);
      const name = spi.SAN_EXTENSIONS.find((entry) => entry.guid === guid)?.name;
      const box = output as spi.ExtensionFunctionPointer;
      box.value = name === undefined ? null : extensions[name];
      return 0;
    },
  };
}

function extensionsOf(
  script: Script,
  other: (call: string) => (...parameters: unknown[]) => number,
): spi.SanExtensions {
  const rdma: spi.LPFN_WSPRDMAWRITE = (
    _s,
    buffers,
    _n,
    _d,
    _l,
    _o,
    count,
    _f,
    ov,
    _fn,
    _t,
    errno,
  ) =>
    ov === null ? spi.fail(errno, spi.WSAEINVAL) : script.post(ov, buffers ?? [], errno, count);
  return {
    WSPRegisterMemory: () => script.register,
    WSPDeregisterMemory: other('WSPDeregisterMemory'),
    WSPRegisterRdmaMemory: (_s, _buffer, _length, _flags, block, room) =>
      script.expose(block, room),
    WSPDeregisterRdmaMemory: other('WSPDeregisterRdmaMemory'),
    WSPRdmaWrite: rdma,
    WSPRdmaRead: rdma,
    WSPMemoryRegistrationCacheCallback: null,
  };
}

function fetch<Name extends keyof spi.SanExtensions>(
  procs: spi.SanProcTable,
  name: Name,
): NonNullable<spi.SanExtensions[Name]> {
  const guid = spi.guidBytes(spi.SAN_EXTENSIONS.find((one) => one.name === name)?.guid ?? '');
  const box: spi.ExtensionFunctionPointer = { value: null };
  const code = spi.SIO_GET_EXTENSION_FUNCTION_POINTER;
  procs.lpWSPIoctl(0, code, guid, 16, box, 8, spi.ref(0), null, null, null, spi.ref(0));
  return box.value as NonNullable<spi.SanExtensions[Name]>;
}
