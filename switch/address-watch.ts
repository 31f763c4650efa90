// How the switch learns that the addresses of the machine have changed: an overlapped
// SIO_ADDRESS_LIST_CHANGE on a socket of its own at TCP/IP, posted again each time it completes. SAN
// providers are never asked to tell. Sources: ADDR-08, IOC-04, W2.10.

import { WSA_IO_PENDING } from '../provider/spi/error-codes.js';
import * as ws from '../provider/spi/winsock2.js';
import { WSS_OPERATION_IN_PROGRESS } from '../provider/spi/ws2spi.js';
import type { Attendant, SwitchCore } from './core.js';

export class AddressWatch implements Attendant {
  readonly #core: SwitchCore;
  readonly #changed: () => void;
  readonly #overlapped = ws.createOverlapped();
  #s = ws.INVALID_SOCKET;

  /** `changed` is called in a turn of the switch, never inside an upcall. */
  constructor(core: SwitchCore, changed: () => void) {
    this.#core = core;
    this.#changed = changed;
  }

  /** TCP/IP has started. One that cannot tell of changes is taken to have none. */
  start(): void {
    const { tcp, tcpInfo } = this.#core;
    const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED, ref } = ws;
    const flags = WSA_FLAG_OVERLAPPED;
    this.#s = tcp.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, tcpInfo, 0, flags, ref(0));
    if (this.#s === ws.INVALID_SOCKET) return;
    this.#overlapped.hEvent = this.#core.createOwnEvent(this);
    this.#post();
  }

  stop(): void {
    if (this.#s === ws.INVALID_SOCKET) return;
    const { tcp, events } = this.#core;
    tcp.lpWSPCloseSocket(this.#s, ws.ref(0));
    this.#s = ws.INVALID_SOCKET;
    events.close(this.#overlapped.hEvent);
  }

  attend(): void {
    if (this.#s === ws.INVALID_SOCKET) return;
    const { Internal } = this.#overlapped;
    if (Internal === WSS_OPERATION_IN_PROGRESS) return;
    if (Internal !== 0) {
      this.stop();
      return;
    }
    // Before anybody is asked, so that a change meanwhile is not missed.
    this.#post();
    this.#changed();
  }

  #post(): void {
    const { tcp, apcs, events } = this.#core;
    const { threadId } = apcs;
    const overlapped = this.#overlapped;
    const code = ws.SIO_ADDRESS_LIST_CHANGE;
    const errno = ws.ref(0);
    const s = this.#s;
    events.reset(overlapped.hEvent);
    const bytes = ws.ref(0);
    tcp.lpWSPIoctl(s, code, null, 0, null, 0, bytes, overlapped, null, threadId, errno);
    if (errno.value !== WSA_IO_PENDING) this.stop();
  }
}
