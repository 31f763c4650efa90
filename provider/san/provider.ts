// The reference SAN provider: start and end, the procedure table, the extensions. It knows the NIC as
// an interface, the contract, and no switch. One file per subject beside it; every function takes the
// shared state first and is bound to it here. Sources: INIT-02, STARTUP, CLEANUP, SPI-01, EXT-02.

import type { NicDevice } from '../nic/device.js';
import { Opcode } from '../nic/verbs.js';
import type { Agent } from '../../runtime/progress.js';
import * as wsa from '../spi/error-codes.js';
import { WsaError } from '../spi/errors.js';
import type { CreateProvider, ServiceProvider } from '../spi/provider.js';
import type { Ref, WSABUF, QOS, WSAPROTOCOL_INFO } from '../spi/winsock2.js';
import type { SanExtensions } from '../spi/ws2san.js';
import type { SanProcTable, WSPDATA, WSPProcTable, WSPUpcallTableEx } from '../spi/ws2spi.js';
import { fail, supportsVersion22, WSP_VERSION_2_2 } from '../spi/ws2spi.js';
import { wspAccept, wspConnect, wspListen } from './connect.js';
import { wspEnumNetworkEvents, wspEventSelect } from './events.js';
import {
  wspDeregisterMemory,
  wspDeregisterRdmaMemory,
  wspRegisterMemory,
  wspRegisterRdmaMemory,
} from './memory.js';
import { wspGetSockOpt, wspIoctl, wspSetSockOpt } from './options.js';
import { wspGetOverlappedResult } from './overlapped.js';
import { drive } from './progress.js';
import { wspBind, wspCloseSocket, wspSocket } from './socket.js';
import type { SanEnvironment, SanProviderOptions } from './state.js';
import { SanState } from './state.js';
import { wspRdma, wspRecv, wspSend } from './transfer.js';

export type { SanEnvironment, SanProviderOptions } from './state.js';

const NAME = 'winsock-direct reference SAN provider';
export const SAN_PROVIDER_ID = '5d6f6c1b-0f3e-4a5e-9a55-1b1f2a7c9e40';

/** Idle turns in which the last WSPCleanup waits for the NIC to let go. */
const CLEANUP_IDLE_TURNS_MAX = 1_000_000;

/** The provider module's one export by contract: the provider with its default options. */
export const createProvider: CreateProvider<NicDevice> = (environment) =>
  createSanProvider(environment);

/**
 * A provider for the environment's NIC, which must be there: WsaError WSASYSNOTREADY otherwise. One
 * provider drives one NIC; everything it hands out belongs to the thread that made it.
 */
export function createSanProvider(
  environment: SanEnvironment,
  options: SanProviderOptions = {},
): ServiceProvider {
  if (!hasNic(environment)) throw new WsaError(wsa.WSASYSNOTREADY, { call: 'createProvider' });
  const state = new SanState(environment, options);
  const agent: Agent = { role: 'san provider', doWork: () => drive(state) };
  const procedures = procedureTable(state, agent);
  const { maxMessageBytes } = state.nic.attributes;
  return {
    name: NAME,
    providerId: SAN_PROVIDER_ID,
    capabilities: {
      kind: 'san',
      rdmaRead: state.hasRdmaRead,
      registrationCacheCallback: false,
      qos: false,
      maxMessageSize: maxMessageBytes,
      maxRdmaSize: maxMessageBytes,
      rdmaThresholdSize: state.rdmaThresholdBytes,
      duplicate: false,
    },
    WSPStartupEx: (wVersionRequested, lpWSPData, _lpProtocolInfo, upcalls, lpProcTable) => {
      if (lpWSPData === null || lpProcTable === null) return wsa.WSAEFAULT;
      if (!supportsVersion22(wVersionRequested)) return wsa.WSAVERNOTSUPPORTED;
      start(state, agent, upcalls);
      describeItself(lpWSPData, lpProcTable, procedures);
      return 0;
    },
  };
}

/** Not every host has a NIC, whatever the type says. */
function hasNic(environment: { readonly nic: unknown }): boolean {
  return typeof environment.nic === 'object' && environment.nic !== null;
}

function start(state: SanState, agent: Agent, upcalls: WSPUpcallTableEx): void {
  state.starts++;
  if (state.starts > 1) return;
  state.upcalls = upcalls;
  state.environment.progress.add(agent);
}

function describeItself(
  lpWSPData: WSPDATA,
  lpProcTable: WSPProcTable,
  procedures: SanProcTable,
): void {
  lpWSPData.wVersion = WSP_VERSION_2_2;
  lpWSPData.wHighVersion = WSP_VERSION_2_2;
  lpWSPData.szDescription = NAME;
  Object.assign(lpProcTable, procedures);
}

/** Undoes one start; the last one ends everything. [CLEANUP-01, CLEANUP-02, CLEANUP-04] */
function wspCleanup(state: SanState, agent: Agent, lpErrno: Ref<number>): number {
  if (state.starts === 0) return fail(lpErrno, wsa.WSANOTINITIALISED);
  state.starts--;
  if (state.starts > 0) return 0;
  for (const socket of state.sockets.all()) wspCloseSocket(state, socket.descriptor, state.errno);
  let idleTurns = 0;
  while (state.closing.size > 0 && idleTurns < CLEANUP_IDLE_TURNS_MAX) {
    idleTurns = drive(state) > 0 ? 0 : idleTurns + 1;
  }
  if (state.closing.size > 0) {
    state.logger.error('the NIC did not let go of every socket', { sockets: state.closing.size });
  }
  state.environment.progress.remove(agent);
  state.upcalls = null;
  return 0;
}

/** Hands nothing over yet: the connection stays where it is. [DUPSOCK-01] */
function wspDuplicateSocket(
  state: SanState,
  s: number,
  _dwProcessId: number,
  _lpProtocolInfo: WSAPROTOCOL_INFO | null,
  lpErrno: Ref<number>,
): number {
  return fail(lpErrno, state.sockets.find(s) === null ? wsa.WSAENOTSOCK : wsa.WSAEOPNOTSUPP);
}

/** There is no QoS. [QOS-01] */
function wspGetQosByName(
  state: SanState,
  s: number,
  _lpQOSName: WSABUF | null,
  _lpQOS: QOS | null,
  lpErrno: Ref<number>,
): boolean {
  lpErrno.value = state.sockets.find(s) === null ? wsa.WSAENOTSOCK : wsa.WSAEOPNOTSUPP;
  return false;
}

function procedureTable(state: SanState, agent: Agent): SanProcTable {
  return {
    lpWSPAccept: wspAccept.bind(null, state),
    lpWSPBind: wspBind.bind(null, state),
    lpWSPCleanup: wspCleanup.bind(null, state, agent),
    lpWSPCloseSocket: wspCloseSocket.bind(null, state),
    lpWSPConnect: wspConnect.bind(null, state),
    lpWSPDuplicateSocket: wspDuplicateSocket.bind(null, state),
    lpWSPEnumNetworkEvents: wspEnumNetworkEvents.bind(null, state),
    lpWSPEventSelect: wspEventSelect.bind(null, state),
    // The calls of the data path are plain closures: calling a bound function costs several times more.
    lpWSPGetOverlappedResult: (s, overlapped, bytes, wait, flags, errno) =>
      wspGetOverlappedResult(state, s, overlapped, bytes, wait, flags, errno),
    lpWSPGetSockOpt: wspGetSockOpt.bind(null, state),
    lpWSPGetQOSByName: wspGetQosByName.bind(null, state),
    lpWSPIoctl: wspIoctl.bind(null, state, extensionsOf(state)),
    lpWSPListen: wspListen.bind(null, state),
    lpWSPRecv: (s, buffers, count, bytes, flags, overlapped, routine, thread, errno) =>
      wspRecv(state, s, buffers, count, bytes, flags, overlapped, routine, thread, errno),
    lpWSPSend: (s, buffers, count, bytes, flags, overlapped, routine, thread, errno) =>
      wspSend(state, s, buffers, count, bytes, flags, overlapped, routine, thread, errno),
    lpWSPSetSockOpt: wspSetSockOpt.bind(null, state),
    lpWSPSocket: wspSocket.bind(null, state),
  };
}

/** What WSPIoctl hands out; null is answered with WSAEOPNOTSUPP. [EXT-03] */
function extensionsOf(state: SanState): SanExtensions {
  return {
    WSPRegisterMemory: wspRegisterMemory.bind(null, state),
    WSPDeregisterMemory: wspDeregisterMemory.bind(null, state),
    WSPRegisterRdmaMemory: wspRegisterRdmaMemory.bind(null, state),
    WSPDeregisterRdmaMemory: wspDeregisterRdmaMemory.bind(null, state),
    WSPRdmaWrite: wspRdma.bind(null, state, Opcode.RDMA_WRITE),
    WSPRdmaRead: state.hasRdmaRead ? wspRdma.bind(null, state, Opcode.RDMA_READ) : null,
    // Nothing stays pinned after deregistration, so there is nothing to call back about.
    WSPMemoryRegistrationCacheCallback: null,
  };
}
