// The reference SAN provider: start and end, the procedure table, the extensions. It knows the NIC as
// an interface, the contract, and no switch. One file per subject beside it; every function takes the
// shared state first and is bound to it here. Sources: INIT-02, STARTUP, CLEANUP, SPI-01, EXT-02.

import type { NicDevice } from '../nic/device.js';
import { Opcode } from '../nic/verbs.js';
import type { Agent } from '../../runtime/progress.js';
import * as wsa from '../spi/error-codes.js';
import { WsaError } from '../spi/errors.js';
import type { CreateProvider, ServiceProvider } from '../spi/provider.js';
import type { Ref, WSABUF, QOS } from '../spi/winsock2.js';
import { SOCKET_ERROR as FAILED } from '../spi/winsock2.js';
import type { SanExtensions } from '../spi/ws2san.js';
import type { SanProcTable } from '../spi/ws2spi.js';
import { wspAccept } from './accept.js';
import { wspConnect } from './connect.js';
import { wspSocket } from './create.js';
import { wspDuplicateSocket } from './duplicate.js';
import { wspEnumNetworkEvents, wspEventSelect } from './events.js';
import { wspIoctl } from './ioctl.js';
import { sanAgent, start, wspCleanup } from './lifetime.js';
import { wspListen } from './listen.js';
import { wspDeregisterMemory, wspRegisterMemory } from './memory.js';
import { wspGetSockOpt, wspSetSockOpt } from './options.js';
import { wspGetOverlappedResult } from './overlapped.js';
import { wspMemoryRegistrationCacheCallback } from './pinned-memory.js';
import { wspDeregisterRdmaMemory, wspRegisterRdmaMemory } from './rdma-memory.js';
import { wspRdma } from './rdma.js';
import { wspBind, wspCloseSocket } from './socket.js';
import { Polled, ShortWay } from './short-way.js';
import type { SanEnvironment, SanProviderOptions } from './state.js';
import { SanState } from './state.js';
import { wspRecv, wspSend } from './transfer.js';

export type { SanEnvironment, SanProviderOptions } from './state.js';

// V8 checks an import at every use, and a constant of the module once.
const { WSA_IO_INCOMPLETE, WSA_IO_PENDING } = wsa;
const SOCKET_ERROR = FAILED;
const { UNKNOWN, PENDING } = Polled;

const NAME = 'winsock-direct reference SAN provider';
export const SAN_PROVIDER_ID = '5d6f6c1b-0f3e-4a5e-9a55-1b1f2a7c9e40';

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
  const agent = sanAgent(state);
  const procedures = procedureTable(state, agent);
  return {
    name: NAME,
    providerId: SAN_PROVIDER_ID,
    capabilities: {
      kind: 'san',
      rdmaRead: state.hasRdmaRead,
      registrationCacheCallback: state.cache !== null,
      qos: false,
      maxMessageSize: state.maxMessageBytes,
      maxRdmaSize: state.maxRdmaBytes,
      rdmaThresholdSize: state.rdmaThresholdBytes,
      duplicate: environment.handover !== undefined,
    },
    WSPStartupEx: (wVersionRequested, data, _lpProtocolInfo, upcalls, table) =>
      start(state, agent, wVersionRequested, { data, upcalls, table, procedures }, NAME),
  };
}

/** Not every host has a NIC, whatever the type says. */
function hasNic(environment: { readonly nic: unknown }): boolean {
  return typeof environment.nic === 'object' && environment.nic !== null;
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
  const way = new ShortWay(state);
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
    lpWSPGetOverlappedResult: (s, overlapped, bytes, wait, flags, errno) => {
      const polled = overlapped === null || wait ? UNKNOWN : way.poll(s, overlapped, bytes, flags);
      if (polled === UNKNOWN)
        return wspGetOverlappedResult(state, s, overlapped, bytes, wait, flags, errno);
      if (polled === PENDING) errno.value = WSA_IO_INCOMPLETE;
      return polled !== PENDING;
    },
    lpWSPGetSockOpt: wspGetSockOpt.bind(null, state),
    lpWSPGetQOSByName: wspGetQosByName.bind(null, state),
    lpWSPIoctl: wspIoctl.bind(null, state, extensionsOf(state)),
    lpWSPListen: wspListen.bind(null, state),
    lpWSPRecv: (s, buffers, count, bytes, flags, overlapped, routine, thread, errno) => {
      const isPlain = (flags === null || flags.value === 0) && routine === null && count === 1;
      if (
        isPlain &&
        buffers !== null &&
        overlapped !== null &&
        way.receive(s, buffers, overlapped)
      ) {
        errno.value = WSA_IO_PENDING;
        return SOCKET_ERROR;
      }
      return wspRecv(state, s, buffers, count, bytes, flags, overlapped, routine, thread, errno);
    },
    lpWSPSend: (s, buffers, count, bytes, flags, overlapped, routine, thread, errno) => {
      const isPlain = flags === 0 && routine === null && count === 1;
      if (isPlain && buffers !== null && overlapped !== null && way.send(s, buffers, overlapped)) {
        errno.value = WSA_IO_PENDING;
        return SOCKET_ERROR;
      }
      return wspSend(state, s, buffers, count, bytes, flags, overlapped, routine, thread, errno);
    },
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
    // Without a cache nothing stays pinned, so there is nothing to call back about. [CACHECB-01]
    WSPMemoryRegistrationCacheCallback:
      state.cache === null ? null : wspMemoryRegistrationCacheCallback.bind(null, state),
  };
}
