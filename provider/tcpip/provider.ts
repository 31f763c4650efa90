// The base TCP/IP service provider over kernel sockets: what owns the application's descriptor and
// serves everything that no SAN provider does. This file starts it, wires readiness to the rules, and
// fills the procedure table. It must not know the switch. Sources: COMP-01, STARTUP, CLEANUP, W13.7.

import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDHUP } from '../../native/reactor.js';
import { failingProcTable } from '../spi/base-provider.js';
import * as wsa from '../spi/errors.js';
import { TCPIP_PROVIDER_ID } from '../spi/protocol-info.js';
import type { ProviderEnvironment, ServiceProvider } from '../spi/provider.js';
import { fail, supportsVersion22, WSP_VERSION_2_2 } from '../spi/ws2spi.js';
import type { WSPProcTable, WSPUpcallTable } from '../spi/ws2spi.js';
import { FD_ACCEPT } from '../spi/winsock2.js';
import { addressToString, stringToAddress } from './address-text.js';
import { progressReceives, progressSends } from './attempt.js';
import { BlockingCalls, createCancelBlockingCall } from './blocking.js';
import { createConnectionFunctions, finishConnect } from './connect.js';
import { closeOffers, createDuplicate } from './duplicate.js';
import { createEventFunctions, noteMessageReadiness, noteReadiness, raise } from './events.js';
import { updateInterest } from './interest.js';
import { createIoctl } from './ioctl.js';
import { takeNetworkErrors } from './network-error.js';
import { Operation } from './operation.js';
import { createOptionFunctions } from './options.js';
import { SocketTable } from './record.js';
import type { Context, KernelSockets, KernelSocket } from './record.js';
import { createSelect } from './select.js';
import { closeAllSockets, createSocketFunctions, finishDraining } from './socket.js';
import { createTransferFunctions } from './transfer.js';
import { EPOLLPRI } from './translate.js';

export type { BlockingWait, KernelSockets } from './record.js';

const INBOUND = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR;
const OUTBOUND = EPOLLOUT | EPOLLHUP | EPOLLERR;

/** Pending operations first: only what they leave is an event. [W10.9] */
function progressConnection(context: Context, socket: KernelSocket, ready: number): void {
  // Data without an end behind it is surely data: the end is readable, too.
  const isData = (ready & INBOUND) === EPOLLIN;
  socket.inbound = isData ? 'ready' : 'unknown';
  if ((ready & INBOUND) !== 0) progressReceives(context, socket);
  if ((ready & OUTBOUND) !== 0) progressSends(context, socket);
  const isBroken = socket.failure !== 0;
  // Whoever was told of a completion may have closed the socket.
  if (socket.state === 'connected') {
    noteReadiness(context, socket, isBroken ? ready | EPOLLHUP : ready);
  }
  // A break shows on one side and ends both; the end of the stream ends waiting for urgent data.
  if (socket.failure !== 0) progressSends(context, socket);
  if (socket.failure !== 0 || socket.urgentReceives.length > 0) progressReceives(context, socket);
}

/** A message socket has no connection that could break: what the network answers is told once. */
function progressMessages(context: Context, socket: KernelSocket, ready: number): void {
  if ((ready & EPOLLERR) !== 0) takeNetworkErrors(socket);
  socket.inbound = (ready & INBOUND) === EPOLLIN ? 'ready' : 'unknown';
  if ((ready & INBOUND) !== 0) progressReceives(context, socket);
  if ((ready & OUTBOUND) !== 0) progressSends(context, socket);
  if (socket.state !== 'closed') noteMessageReadiness(context, socket, ready);
}

/** What a readiness report of a socket's descriptor sets going. */
function dispatch(context: Context, socket: KernelSocket, ready: number): void {
  switch (socket.state) {
    case 'connecting':
      finishConnect(context, socket);
      break;
    case 'listening':
      socket.isAcceptReady = true;
      raise(context, socket, FD_ACCEPT);
      break;
    case 'draining':
      progressSends(context, socket);
      finishDraining(context, socket);
      break;
    default:
      if (socket.message === null) progressConnection(context, socket, ready);
      else progressMessages(context, socket, ready);
      break;
  }
  socket.inbound = 'unknown';
  updateInterest(context, socket);
}

/** The functions of an instance; what TCP/IP here does not do fails with WSAEOPNOTSUPP. */
function createProcTable(context: Context): WSPProcTable {
  const sockets = createSocketFunctions(context);
  const connections = createConnectionFunctions(context);
  const transfers = createTransferFunctions(context);
  const events = createEventFunctions(context);
  const options = createOptionFunctions(context);
  return {
    ...failingProcTable(),
    lpWSPAccept: connections.accept,
    lpWSPAddressToString: addressToString,
    lpWSPBind: sockets.bind,
    lpWSPCancelBlockingCall: createCancelBlockingCall(context.blocking),
    lpWSPCleanup: (lpErrno) => cleanup(context, lpErrno),
    lpWSPCloseSocket: sockets.close,
    lpWSPConnect: connections.connect,
    lpWSPDuplicateSocket: createDuplicate(context),
    lpWSPEnumNetworkEvents: events.enumNetworkEvents,
    lpWSPEventSelect: events.eventSelect,
    lpWSPGetOverlappedResult: transfers.overlappedResult,
    lpWSPGetPeerName: sockets.getPeerName,
    lpWSPGetSockName: sockets.getSockName,
    lpWSPGetSockOpt: options.getSockOpt,
    lpWSPIoctl: createIoctl(context),
    lpWSPListen: connections.listen,
    lpWSPRecv: transfers.receive,
    lpWSPRecvDisconnect: transfers.receiveDisconnect,
    lpWSPRecvFrom: transfers.receiveFrom,
    lpWSPSelect: createSelect(context),
    lpWSPSend: transfers.send,
    lpWSPSendDisconnect: transfers.sendDisconnect,
    lpWSPSendTo: transfers.sendTo,
    lpWSPSetSockOpt: options.setSockOpt,
    lpWSPShutdown: transfers.shutdown,
    lpWSPSocket: sockets.create,
    lpWSPStringToAddress: stringToAddress,
  };
}

/** Undoes one WSPStartupEx; the last one closes every socket. [CLEANUP-01] */
function cleanup(context: Context, lpErrno: { value: number }): number {
  const { table } = context;
  if (table.startupCount === 0) return fail(lpErrno, wsa.WSANOTINITIALISED);
  table.startupCount--;
  if (table.startupCount > 0) return 0;
  closeAllSockets(context);
  closeOffers(context);
  return 0;
}

/**
 * The base provider on the given kernel sockets. It polls nothing: completions and events come when
 * the host polls `environment.sockets.reactor`, on that thread. Everything it opened is closed by the
 * last WSPCleanup; the reactor stays the host's.
 */
export function createProvider(
  environment: ProviderEnvironment<unknown, KernelSockets>,
): ServiceProvider {
  const start = (upcalls: WSPUpcallTable): Context => {
    const created: Context = {
      kernel: environment.sockets,
      blocking: new BlockingCalls(environment.sockets.blocking, environment.clock),
      clock: environment.clock,
      profile: environment.profile,
      table: new SocketTable(),
      upcalls,
      onReady: (socket, ready) => {
        dispatch(created, socket, ready);
      },
      handover: environment.handover ?? null,
      offers: new Set(),
      scratch: new Operation(),
    };
    return created;
  };
  let context: Context | null = null;
  let procTable: WSPProcTable | null = null;
  return {
    name: 'TCP/IP',
    providerId: TCPIP_PROVIDER_ID,
    capabilities: {
      kind: 'base',
      rdmaRead: false,
      registrationCacheCallback: false,
      qos: false,
      maxMessageSize: null,
      maxRdmaSize: null,
      rdmaThresholdSize: null,
      duplicate: environment.handover !== undefined,
    },
    WSPStartupEx(wVersionRequested, lpWSPData, lpProtocolInfo, upcallTable, lpProcTable) {
      if (!supportsVersion22(wVersionRequested)) return wsa.WSAVERNOTSUPPORTED;
      if (lpWSPData === null || lpProcTable === null) return wsa.WSAEFAULT;
      context ??= start(upcallTable);
      context.upcalls = upcallTable;
      context.blocking.query(upcallTable, lpProtocolInfo?.dwCatalogEntryId ?? 0);
      context.table.startupCount++;
      procTable ??= createProcTable(context);
      Object.assign(lpProcTable, procTable);
      lpWSPData.wVersion = WSP_VERSION_2_2;
      lpWSPData.wHighVersion = WSP_VERSION_2_2;
      lpWSPData.szDescription = 'TCP/IP over kernel sockets';
      return 0;
    },
  };
}
