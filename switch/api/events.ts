// Event objects under their Winsock names, and the selection of network events. Sources: W9.12.1,
// W9.13.2, W10.

import * as wsa from '../../provider/spi/error-codes.js';
import type { WSANETWORKEVENTS } from '../../provider/spi/winsock2.js';
import { SOCKET_ERROR, WSA_INVALID_EVENT } from '../../provider/spi/winsock2.js';
import type { ApiState } from './last-error.js';

export interface EventFunctions {
  /** A manual-reset event, not signalled; WSA_INVALID_EVENT when there are too many. [W9.12.1] */
  WSACreateEvent(): number;
  /** False: WSA_INVALID_HANDLE. */
  WSASetEvent(hEvent: number): boolean;
  WSAResetEvent(hEvent: number): boolean;
  WSACloseEvent(hEvent: number): boolean;
  /**
   * Signals hEvent when an event of the mask occurs on the socket, which becomes nonblocking.
   * SOCKET_ERROR: WSAENOTSOCK, WSAEINVAL. [W10.1]
   */
  WSAEventSelect(s: number, hEventObject: number, lNetworkEvents: number): number;
  /** What has occurred since the last call. SOCKET_ERROR: WSAENOTSOCK, WSAEFAULT, WSAEINVAL. [W10.11] */
  WSAEnumNetworkEvents(
    s: number,
    hEventObject: number,
    lpNetworkEvents: WSANETWORKEVENTS | null,
  ): number;
}

export function eventFunctions(state: ApiState): EventFunctions {
  const { events } = state.theSwitch.core;
  const known = (isKnown: boolean): boolean => {
    if (!isKnown) state.lastError = wsa.WSA_INVALID_HANDLE;
    return isKnown;
  };
  return {
    WSACreateEvent() {
      if (!state.isStarted()) return WSA_INVALID_EVENT;
      const handle = events.create();
      if (handle === 0) state.lastError = wsa.WSA_NOT_ENOUGH_MEMORY;
      return handle;
    },
    WSASetEvent: (hEvent) => state.isStarted() && known(events.set(hEvent)),
    WSAResetEvent: (hEvent) => state.isStarted() && known(events.reset(hEvent)),
    WSACloseEvent: (hEvent) => state.isStarted() && known(events.close(hEvent)),
    WSAEventSelect(s, hEventObject, lNetworkEvents) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const { spi, errno } = state;
      return state.pass(spi.WSPEventSelect(s, hEventObject, lNetworkEvents, errno), SOCKET_ERROR);
    },
    WSAEnumNetworkEvents(s, hEventObject, lpNetworkEvents) {
      if (!state.isStarted()) return SOCKET_ERROR;
      const { spi, errno } = state;
      const result = spi.WSPEnumNetworkEvents(s, hEventObject, lpNetworkEvents, errno);
      return state.pass(result, SOCKET_ERROR);
    },
  };
}
