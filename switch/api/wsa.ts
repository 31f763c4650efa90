// What ws2_32.dll is to an application: every function under its own name, in one object. Assembles
// the parts; knows the switch, and neither providers nor how anything is done. Source: design.md
// "Fixed"; INIT-01.

import type { ServiceProvider } from '../../provider/spi/provider.js';
import type { Switch } from '../switch.js';
import type { AddressFunctions } from './addresses.js';
import { addressFunctions } from './addresses.js';
import type { EventFunctions } from './events.js';
import { eventFunctions } from './events.js';
import type { LastErrorFunctions } from './last-error.js';
import { ApiState, lastErrorFunctions } from './last-error.js';
import type { TransferFunctions } from './overlapped.js';
import { transferFunctions } from './overlapped.js';
import type { PromiseFunctions } from './promises.js';
import { promiseFunctions } from './promises.js';
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
    EventFunctions,
    WaitFunctions,
    AddressFunctions {
  /** Promise twins of the functions that block; failures reject with WsaError. */
  readonly promises: PromiseFunctions;
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
  return {
    ...startup,
    ...lastErrorFunctions(state),
    ...socketFunctions(state),
    ...transferFunctions(state),
    ...eventFunctions(state),
    ...waitFunctions(state),
    ...addressFunctions(state),
    promises: promiseFunctions(state, () => startup.WSACleanup()),
  };
}
