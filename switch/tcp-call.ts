// One call of a function of TCP/IP's, with its arguments kept for as often as it has to be made: a
// call that waits is a nonblocking one made again. Pooled by its owner, since calls nest when completion
// routines run inside a blocking one. Decides nothing about waiting. Sources: W4, W5, W6, W8, W11.

import * as wsa from '../provider/spi/error-codes.js';
import type { ExtensionFunctionPointer } from '../provider/spi/ws2san.js';
import type { Ref, WSABUF, WSAMSG, WSAOVERLAPPED } from '../provider/spi/winsock2.js';
import * as ws from '../provider/spi/winsock2.js';
import type { SwitchCore } from './core.js';
import type { SwitchSocket } from './socket.js';
import { SocketState } from './socket.js';

export const TcpFunction = {
  send: 0,
  sendTo: 1,
  sendMessage: 2,
  receive: 3,
  receiveFrom: 4,
  receiveMessage: 5,
  control: 6,
} as const;
export type TcpFunction = (typeof TcpFunction)[keyof typeof TcpFunction];

/** The buffers of a control code, as WSPIoctl takes them. */
export interface ControlBuffers {
  readonly code: number;
  readonly input: Uint8Array | null;
  readonly inputLength: number;
  readonly output: Uint8Array | ExtensionFunctionPointer | null;
  readonly outputLength: number;
  readonly lpcbBytesReturned: Ref<number> | null;
}

export class TcpCall {
  kind: TcpFunction = TcpFunction.send;
  buffers: readonly WSABUF[] | null = null;
  count = 0;
  flags = 0;
  /** lpTo or lpFrom, and what belongs to it. */
  name: Uint8Array | null = null;
  nameLength = 0;
  lpNameLength: Ref<number> | null = null;
  message: WSAMSG | null = null;
  control: ControlBuffers | null = null;
  /** What the last make() moved; meaningful for success and for a message that was cut short. */
  readonly bytes = ws.ref(0);
  readonly resultFlags = ws.ref(0);
  /** Whoever waits: for one of these FD_ bits to be reported by TCP/IP, or the end of the socket. */
  wanted = 0;
  socket: SwitchSocket | null = null;
  readonly isReady = (): boolean => {
    const { socket } = this;
    if (socket === null) return true;
    return (socket.tcpReady & this.wanted) !== 0 || socket.state === SocketState.closed;
  };
  readonly #errno = ws.ref(0);

  get isSend(): boolean {
    return this.kind <= TcpFunction.sendMessage;
  }

  /** Makes the call. 0, WSA_IO_PENDING when `inner` will be completed, or the error. */
  make(core: SwitchCore, socket: SwitchSocket, inner: WSAOVERLAPPED | null): number {
    this.bytes.value = 0;
    this.resultFlags.value = this.flags;
    const result = this.#call(core, socket.descriptor, inner);
    if (result === 0) return 0;
    if (this.isSend) this.resultFlags.value = 0;
    return this.#errno.value === 0 ? wsa.WSAENETDOWN : this.#errno.value;
  }

  /** Forgets the caller's memory. */
  reset(): void {
    this.buffers = null;
    this.name = null;
    this.lpNameLength = null;
    this.message = null;
    this.control = null;
    this.socket = null;
  }

  #call(core: SwitchCore, s: number, inner: WSAOVERLAPPED | null): number {
    const { tcp, apcs, tcpExtensions } = core;
    const { threadId } = apcs;
    const { buffers, count, flags, bytes, resultFlags, name } = this;
    const errno = this.#errno;
    switch (this.kind) {
      case TcpFunction.send:
        return tcp.lpWSPSend(s, buffers, count, bytes, flags, inner, null, threadId, errno);
      case TcpFunction.receive:
        return tcp.lpWSPRecv(s, buffers, count, bytes, resultFlags, inner, null, threadId, errno);
      case TcpFunction.sendTo: {
        const { lpWSPSendTo } = tcp;
        const length = this.nameLength;
        return lpWSPSendTo(
          s,
          buffers,
          count,
          bytes,
          flags,
          name,
          length,
          inner,
          null,
          threadId,
          errno,
        );
      }
      case TcpFunction.receiveFrom: {
        const { lpWSPRecvFrom } = tcp;
        const length = this.lpNameLength;
        return lpWSPRecvFrom(
          s,
          buffers,
          count,
          bytes,
          resultFlags,
          name,
          length,
          inner,
          null,
          threadId,
          errno,
        );
      }
      case TcpFunction.sendMessage: {
        const { sendMessage } = tcpExtensions;
        return sendMessage(s, this.message, flags, bytes, inner, null, threadId, errno);
      }
      case TcpFunction.receiveMessage: {
        const { receiveMessage } = tcpExtensions;
        return receiveMessage(s, this.message, bytes, inner, null, threadId, errno);
      }
      case TcpFunction.control:
        return this.#control(core, s, inner);
    }
  }

  #control(core: SwitchCore, s: number, inner: WSAOVERLAPPED | null): number {
    const { control } = this;
    if (control === null) return 0;
    const { code, input, inputLength, output, outputLength, lpcbBytesReturned: lpcb } = control;
    const { lpWSPIoctl } = core.tcp;
    const { threadId } = core.apcs;
    return lpWSPIoctl(
      s,
      code,
      input,
      inputLength,
      output,
      outputLength,
      lpcb,
      inner,
      null,
      threadId,
      this.#errno,
    );
  }
}
