// Every call in every state of a socket, judged by one table: a case for each cell. A call comes with
// arguments that are right in every other respect, so that the state alone decides.
// Sources: state-table.ts.

import * as spi from '../../../provider/spi/index.js';
import type { CaseContext, ConformanceCase } from '../case.js';
import { expectCode, expectSame } from '../check.js';
import type { SocketState } from '../states.js';
import { intoState, SOCKET_STATES } from '../states.js';
import { finish, rdma, receive, send } from '../transfers.js';
import type { TableCall } from './state-table.js';
import { allowedCodes, CALLS, codesWithoutDuplication, STATE_TABLE } from './state-table.js';

const GROUP = 'calls-in-every-state';
const BYTES = 64;

/** Makes a call on a socket of the left side: its code. */
type Caller = (context: CaseContext, s: number, state: SocketState) => number;

const CALLERS: Readonly<Record<TableCall, Caller>> = {
  WSPAccept: ({ left }, s) => left.accept(s).code,
  WSPBind: (context, s) => context.left.bind(s, context.port()),
  WSPCloseSocket: ({ left }, s) => left.close(s),
  WSPConnect: (context, s) => context.left.connect(s, context.right.address, context.port()),
  WSPDuplicateSocket: ({ left }, s) => left.duplicate(s, left.host.processId).code,
  WSPEnumNetworkEvents: ({ left }, s) => left.enumerate(s, 0, spi.createNetworkEvents()),
  WSPEventSelect: ({ left }, s) =>
    left.select(s, left.upcalls.createEvent(), spi.FD_CONNECT | spi.FD_ACCEPT),
  WSPGetOverlappedResult: ({ left }, s) => {
    const { procs, errno } = left;
    const call = 'WSPGetOverlappedResult';
    const isDone: unknown = procs.lpWSPGetOverlappedResult(s, null, null, false, null, errno);
    return left.code(call, isDone === false ? spi.SOCKET_ERROR : asNonsense(isDone));
  },
  WSPGetQOSByName: ({ left }, s) => {
    const { procs, errno } = left;
    const name = { len: 0, buf: null };
    const isDone: unknown = procs.lpWSPGetQOSByName(s, name, null, errno);
    return left.code('WSPGetQOSByName', isDone === false ? spi.SOCKET_ERROR : asNonsense(isDone));
  },
  WSPGetSockOpt: ({ left }, s) => {
    const { procs, errno } = left;
    const value = new Uint8Array(4);
    const { SOL_SOCKET, SO_MAX_MSG_SIZE } = spi;
    const length = spi.ref(4);
    const returned = procs.lpWSPGetSockOpt(s, SOL_SOCKET, SO_MAX_MSG_SIZE, value, length, errno);
    return left.code('WSPGetSockOpt', returned);
  },
  WSPSetSockOpt: ({ left }, s) => {
    const { procs, errno } = left;
    const value = Uint8Array.of(1, 0, 0, 0);
    const returned = procs.lpWSPSetSockOpt(s, spi.SOL_SOCKET, spi.SO_DEBUG, value, 4, errno);
    return left.code('WSPSetSockOpt', returned);
  },
  'WSPIoctl-address-list': ({ left }, s) => {
    const { procs, errno } = left;
    const out = new Uint8Array(1024);
    const code = spi.SIO_ADDRESS_LIST_QUERY;
    const length = spi.ref(0);
    const returned = procs.lpWSPIoctl(
      s,
      code,
      null,
      0,
      out,
      out.length,
      length,
      null,
      null,
      null,
      errno,
    );
    return left.code('WSPIoctl', returned);
  },
  'WSPIoctl-extension': ({ left }, s) => left.query(spi.WSAID_RDMAWRITE, s),
  WSPListen: ({ left }, s) => left.listen(s, 5),
  WSPRecv: (context, s, state) => receive(context.left, s, [memory(context, s, state)]).code,
  WSPSend: (context, s, state) => send(context.left, s, [memory(context, s, state)]).code,
  WSPRegisterMemory: ({ left }, s) => left.tryRegister(s, left.allocate(BYTES)).code,
  WSPDeregisterMemory: ({ left }, s) => left.deregister(s, 0x123457),
  WSPRegisterRdmaMemory: ({ left }, s) => {
    const block = new Uint8Array(1024);
    return left.tryExpose(s, left.allocate(BYTES), spi.MEM_READ, block, spi.ref(block.length));
  },
  'WSPRegisterRdmaMemory-probe': ({ left }, s) =>
    left.tryExpose(s, left.allocate(BYTES), spi.MEM_READ, null, spi.ref(0)),
  WSPDeregisterRdmaMemory: ({ left }, s) => left.unexpose(s, new Uint8Array(32)),
  WSPRdmaWrite: (context, s, state) => transfer(context, s, state, 'write'),
  WSPRdmaRead: (context, s, state) => transfer(context, s, state, 'read'),
};

/** The code() of a BOOL that is neither. */
function asNonsense(value: unknown): unknown {
  return value === true ? 0 : value;
}

/** Memory that is registered where that is possible. */
function memory({ left }: CaseContext, s: number, state: SocketState): Uint8Array {
  const buffer = left.allocate(BYTES);
  if (state === 'connected') left.register(s, buffer);
  return buffer;
}

/** To a descriptor that this connection's peer has given, where there is one. */
function transfer(
  context: CaseContext,
  s: number,
  state: SocketState,
  direction: 'read' | 'write',
): number {
  const { left, right } = context;
  const buf = left.allocate(BYTES);
  if (direction === 'read') expectSame('WSPRdmaRead', typeof left.rdmaRead, 'function');
  if (state !== 'connected') {
    const descriptor = new Uint8Array(descriptorLength(context));
    return rdma(left, direction, s, [{ buf, handle: 1 }], { descriptor }).code;
  }
  const { a, b } = context.connected();
  const descriptor = right.expose(b, right.allocate(BYTES), spi.MEM_READWRITE);
  const handle = left.register(a, buf);
  const started = rdma(left, direction, a, [{ buf, handle }], { descriptor });
  expectCode('the transfer', finish(left, a, started, 'the transfer').error, 0);
  return started.code;
}

/** What a probe on a connection says, so that a length is never what a call is refused for. */
function descriptorLength(context: CaseContext): number {
  const { a } = context.connected();
  const length = spi.ref(0);
  context.left.tryExpose(a, null, spi.MEM_READ, null, length);
  return length.value;
}

function cell(call: TableCall, state: SocketState): ConformanceCase {
  const allowed = allowedCodes(call, state);
  return {
    group: GROUP,
    name: `${call}-${state}`,
    title: `${call} on a socket that is ${state.replace('-', ' ')}`,
    clauses: STATE_TABLE[call].clauses,
    unless: (capabilities) => {
      if (call === 'WSPRdmaRead' && !capabilities.rdmaRead) return 'no WSPRdmaRead';
      if (call === 'WSPGetQOSByName' && capabilities.qos) return 'the provider has QoS';
      return state === 'duplicated' && !capabilities.duplicate ? 'no duplication' : null;
    },
    run: (context) => {
      const s = intoState(context, state);
      const isMissing = call === 'WSPDuplicateSocket' && !context.capabilities.duplicate;
      const codes = isMissing ? codesWithoutDuplication(state) : allowed;
      expectCode(call, CALLERS[call](context, s, state), ...codes);
    },
  };
}

export const callsInEveryState: readonly ConformanceCase[] = CALLS.flatMap((call) =>
  SOCKET_STATES.map((state) => cell(call, state)),
);
