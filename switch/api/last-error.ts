// The thread's last error, and how a function of ws2_32.dll turns what the SPI says into it. SPI
// functions never touch it (W1.1); the functions here do nothing else before WSAStartup than fail.
// Sources: W1.1, W3.4.

import * as wsa from '../../provider/spi/error-codes.js';
import { ref, SOCKET_ERROR } from '../../provider/spi/winsock2.js';
import type { BlockingCalls } from '../blocking.js';
import type { SwitchProcedures } from '../procedures.js';
import type { Switch } from '../switch.js';

export class ApiState {
  readonly theSwitch: Switch;
  readonly spi: SwitchProcedures;
  /** lpErrno of the call in progress; calls do not nest between writing and reading it. */
  readonly errno = ref(0);
  lastError = 0;
  /** WSAStartup calls without their WSACleanup. */
  startCount = 0;
  readonly #blocking: BlockingCalls;

  constructor(theSwitch: Switch) {
    this.theSwitch = theSwitch;
    this.spi = theSwitch.procedures;
    this.#blocking = theSwitch.core.blocking;
  }

  /** Sets the last error; SOCKET_ERROR. */
  fail(code: number): typeof SOCKET_ERROR {
    this.lastError = code;
    // W4.20: whatever the call made of the end of its wait, it was cancelled.
    if (this.#blocking.isInterrupted) {
      this.#blocking.isInterrupted = false;
      this.lastError = wsa.WSAEINTR;
    }
    return SOCKET_ERROR;
  }

  /**
   * Before WSAStartup every function fails. [W3.4] In a process of Winsock 1.x a thread makes one
   * blocking call at a time, and no other call meanwhile. [W4.20]
   */
  isStarted(): boolean {
    if (this.startCount > 0) {
      if (!this.#blocking.isVersion1 || this.#blocking.depth === 0) return true;
      this.lastError = wsa.WSAEINPROGRESS;
      return false;
    }
    this.lastError = wsa.WSANOTINITIALISED;
    return false;
  }

  /** The result of an SPI call that returns 0, SOCKET_ERROR or INVALID_SOCKET. */
  pass(result: number, failure: number): number {
    if (result === failure) this.fail(this.errno.value);
    return result;
  }
}

export interface LastErrorFunctions {
  WSAGetLastError(): number;
  WSASetLastError(iError: number): void;
}

export function lastErrorFunctions(state: ApiState): LastErrorFunctions {
  return {
    WSAGetLastError: () => state.lastError,
    WSASetLastError(iError) {
      state.lastError = iError;
    },
  };
}
