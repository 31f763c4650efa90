// What ws2_32.dll is to an application: every function under its own name, in one object. Assembles
// the parts; knows the switch, and neither providers nor how anything is done. Source: design.md
// "Fixed"; INIT-01.

import type { ServiceProvider } from '../../provider/spi/provider.js';
import { WSAID_WSARECVMSG, WSAID_WSASENDMSG } from '../../provider/spi/ws2san.js';
import type { Switch } from '../switch.js';
import type { AddressFunctions } from './addresses.js';
import { addressFunctions } from './addresses.js';
import type { CatalogFunctions } from './catalog.js';
import { catalogFunctions } from './catalog.js';
import type { CompletionFunctions } from './completion.js';
import { completionFunctions } from './completion.js';
import type { EventFunctions } from './events.js';
import { eventFunctions } from './events.js';
import type { ExtendedFunctions, ExtendedPromises } from './extended.js';
import { extendedFunctions, extendedPromises } from './extended.js';
import type { LastErrorFunctions } from './last-error.js';
import { ApiState, lastErrorFunctions } from './last-error.js';
import type { MessageFunctions } from './messages.js';
import { messageFunctions } from './messages.js';
import type { TransferFunctions } from './overlapped.js';
import { transferFunctions } from './overlapped.js';
import type { PromiseFunctions } from './promises.js';
import { promiseFunctions } from './promises.js';
import type { SelectFunctions } from './select.js';
import { selectFunctions } from './select.js';
import type { SocketFunctions } from './sockets.js';
import { socketFunctions } from './sockets.js';
import type { StartupFunctions } from './startup.js';
import { startupFunctions } from './startup.js';
import type { WaitFunctions } from './waits.js';
import { waitFunctions } from './waits.js';

export interface Winsock
  extends StartupFunctions,
    LastErrorFunctions,
    SocketFunctions,
    TransferFunctions,
    MessageFunctions,
    EventFunctions,
    WaitFunctions,
    SelectFunctions,
    CompletionFunctions,
    CatalogFunctions,
    ExtendedFunctions,
    AddressFunctions {
  /** Promise twins of the functions that block; failures reject with WsaError. */
  readonly promises: PromiseFunctions & ExtendedPromises;
}

export interface WinsockOptions {
  readonly theSwitch: Switch;
  /** Started by the first WSAStartup: TCP/IP, and any number of SAN providers. */
  readonly providers: readonly ServiceProvider[];
}

/** The Winsock of one host, for the thread that opened it. */
export function createWinsock(options: WinsockOptions): Winsock {
  const state = new ApiState(options.theSwitch);
  const startup = startupFunctions(state, options.providers);
  const messages = messageFunctions(state);
  const { extensions } = options.theSwitch.core;
  extensions.add(WSAID_WSASENDMSG, messages.WSASendMsg);
  extensions.add(WSAID_WSARECVMSG, messages.WSARecvMsg);
  const extended = extendedFunctions(state);
  const promises = promiseFunctions(state, () => startup.WSACleanup());
  const result: typeof promises.WSAGetOverlappedResult = (s, overlapped, bytes, wait, flags) =>
    promises.WSAGetOverlappedResult(s, overlapped, bytes, wait, flags);
  return {
    ...startup,
    ...lastErrorFunctions(state),
    ...socketFunctions(state),
    ...transferFunctions(state),
    ...messages,
    ...eventFunctions(state),
    ...waitFunctions(state),
    ...selectFunctions(state),
    ...completionFunctions(state),
    ...catalogFunctions(state),
    ...addressFunctions(state),
    ...extended,
    promises: { ...promises, ...extendedPromises(state, extended, result) },
  };
}
