// WSAStartup and WSACleanup: counted; the first starts the switch with its providers, the last stops
// it. Sources: W3.4, W3.5, INIT-01, CLEANUP-03.

import * as wsa from '../../provider/spi/error-codes.js';
import type { ServiceProvider } from '../../provider/spi/provider.js';
import type { WSADATA } from '../../provider/spi/winsock2.js';
import { SOCKET_ERROR } from '../../provider/spi/winsock2.js';
import type { ApiState } from './last-error.js';

/** Version words: major in the low byte, minor in the high one. */
const VERSION_2_2 = 0x0202;
const VERSION_1_1 = 0x0101;

export interface StartupFunctions {
  /**
   * Starts Winsock, or counts one more start, and fills lpWSAData. Returns 0 or the error itself,
   * never through the last error: WSAVERNOTSUPPORTED, WSAEFAULT, WSASYSNOTREADY and what TCP/IP's
   * start fails with. [W3.5]
   */
  WSAStartup(wVersionRequested: number, lpWSAData: WSADATA | null): number;
  /**
   * Undoes one WSAStartup; the last one closes every socket, waits a bounded while for data under
   * way, and ends the providers. SOCKET_ERROR: WSANOTINITIALISED. [W3.5, CLEANUP-03]
   */
  WSACleanup(): number;
  /**
   * Ends the innermost blocking call, which then fails with WSAEINTR; after it only closesocket is
   * sure to work. SOCKET_ERROR: WSAEOPNOTSUPP in a process of Winsock 2, WSAEINVAL when nothing
   * blocks. [W3.5, W4.20]
   */
  WSACancelBlockingCall(): number;
  /**
   * Winsock 1.x: what a blocking call calls over and over while it waits, until it returns false. The
   * previous hook; null with WSAEOPNOTSUPP in a process of Winsock 2.
   */
  WSASetBlockingHook(lpBlockFunc: (() => boolean) | null): (() => boolean) | null;
}

export function startupFunctions(
  state: ApiState,
  providers: readonly ServiceProvider[],
): StartupFunctions {
  const { blocking } = state.theSwitch.core;
  return {
    WSAStartup(wVersionRequested, lpWSAData) {
      const version = versionFor(wVersionRequested);
      // The version comes first, and the caller learns what there is even if it is refused.
      if (version === null) {
        if (lpWSAData !== null) {
          lpWSAData.wVersion = VERSION_2_2;
          lpWSAData.wHighVersion = VERSION_2_2;
        }
        return wsa.WSAVERNOTSUPPORTED;
      }
      if (lpWSAData === null) return wsa.WSAEFAULT;
      if (!state.theSwitch.isRunning) {
        const error = state.theSwitch.start(providers);
        if (error !== 0) return error;
      }
      // The first start says which Winsock the process knows.
      if (state.startCount === 0) blocking.isVersion1 = (version & 0xff) === 1;
      state.startCount++;
      fill(lpWSAData, version);
      return 0;
    },
    WSACleanup() {
      if (!state.isStarted()) return SOCKET_ERROR;
      state.startCount--;
      if (state.startCount > 0) return 0;
      blocking.hook = null;
      state.theSwitch.stop();
      return 0;
    },
    WSACancelBlockingCall() {
      if (state.startCount === 0) return state.fail(wsa.WSANOTINITIALISED);
      if (!blocking.isVersion1) return state.fail(wsa.WSAEOPNOTSUPP);
      if (blocking.depth === 0) return state.fail(wsa.WSAEINVAL);
      blocking.isCancelled = true;
      return 0;
    },
    WSASetBlockingHook(lpBlockFunc) {
      const before = blocking.hook;
      if (state.startCount === 0) state.lastError = wsa.WSANOTINITIALISED;
      else if (!blocking.isVersion1) state.lastError = wsa.WSAEOPNOTSUPP;
      else blocking.hook = lpBlockFunc;
      return before;
    },
  };
}

/** A structure for WSAStartup to fill. */
export function emptyWsaData(): WSADATA {
  return {
    wVersion: 0,
    wHighVersion: 0,
    iMaxSockets: 0,
    iMaxUdpDg: 0,
    lpVendorInfo: null,
    szDescription: '',
    szSystemStatus: '',
  };
}

/** The version used for a request, or null for one below 1.0. */
function versionFor(requested: number): number | null {
  const major = requested & 0xff;
  const minor = (requested >>> 8) & 0xff;
  if (major === 0) return null;
  if (major === 1) return minor <= 1 ? requested & 0xffff : VERSION_1_1;
  return major === 2 && minor <= 2 ? requested & 0xffff : VERSION_2_2;
}

function fill(data: WSADATA, version: number): void {
  const isVersion1 = (version & 0xff) === 1;
  data.wVersion = version;
  data.wHighVersion = VERSION_2_2;
  data.iMaxSockets = isVersion1 ? 32_767 : 0;
  data.iMaxUdpDg = isVersion1 ? 65_467 : 0;
  data.szDescription = 'WinSock 2.0';
  data.szSystemStatus = 'Running';
}
