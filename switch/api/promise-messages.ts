// Promise twins of the data calls with an address or control data: overlapped calls of their own, and
// what they write is written before the promise settles. Sources: W5, W6, W8.2, W8.3.

import type { Ref, WSABUF, WSAMSG } from '../../provider/spi/winsock2.js';
import { ref } from '../../provider/spi/winsock2.js';
import type { PromiseRunner } from './promise-runner.js';

type Name = Uint8Array | null;
type Count = Ref<number> | null;

export interface MessagePromises {
  /** Resolves with the number of bytes. */
  sendto(
    s: number,
    buf: Uint8Array | null,
    len: number,
    flags: number,
    to: Name,
    tolen: number,
  ): Promise<number>;
  /** Resolves with the number of bytes; rejects with WSAEMSGSIZE when the message was longer. */
  recvfrom(
    s: number,
    buf: Uint8Array | null,
    len: number,
    flags: number,
    from: Name,
    fromlen: Count,
  ): Promise<number>;
  WSASendTo(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesSent: Count,
    dwFlags: number,
    lpTo: Name,
    iTolen: number,
  ): Promise<number>;
  WSARecvFrom(
    s: number,
    lpBuffers: readonly WSABUF[] | null,
    dwBufferCount: number,
    lpNumberOfBytesRecvd: Count,
    lpFlags: Ref<number>,
    lpFrom: Name,
    lpFromlen: Count,
  ): Promise<number>;
  WSASendMsg(
    Handle: number,
    lpMsg: WSAMSG | null,
    dwFlags: number,
    lpNumberOfBytesSent: Count,
  ): Promise<number>;
  WSARecvMsg(s: number, lpMsg: WSAMSG | null, lpdwNumberOfBytesRecvd: Count): Promise<number>;
}

export function messagePromises(runner: PromiseRunner): MessagePromises {
  const { messages } = runner.state.spi;
  const told = (count: Count, bytes: number): 0 => {
    if (count !== null) count.value = bytes;
    return 0;
  };
  const twins: MessagePromises = {
    async sendto(s, buf, len, flags, to, tolen) {
      const sent = ref(0);
      await twins.WSASendTo(s, [{ len, buf }], 1, sent, flags, to, tolen);
      return sent.value;
    },
    async recvfrom(s, buf, len, flags, from, fromlen) {
      const received = ref(0);
      await twins.WSARecvFrom(s, [{ len, buf }], 1, received, ref(flags), from, fromlen);
      return received.value;
    },
    async WSASendTo(s, buffers, count, lpBytes, flags, to, tolen) {
      const { bytes } = await runner.overlapped('WSASendTo', (ov, errno) =>
        messages.sendTo(s, buffers, count, null, flags, to, tolen, ov, null, errno),
      );
      return told(lpBytes, bytes);
    },
    async WSARecvFrom(s, buffers, count, lpBytes, lpFlags, from, lpFromlen) {
      const { bytes, flags } = await runner.overlapped('WSARecvFrom', (ov, errno) =>
        messages.receiveFrom(s, buffers, count, null, lpFlags, from, lpFromlen, ov, null, errno),
      );
      lpFlags.value = flags;
      return told(lpBytes, bytes);
    },
    async WSASendMsg(s, lpMsg, flags, lpBytes) {
      const { bytes } = await runner.overlapped('WSASendMsg', (ov, errno) =>
        messages.sendMessage(s, lpMsg, flags, null, ov, null, errno),
      );
      return told(lpBytes, bytes);
    },
    async WSARecvMsg(s, lpMsg, lpBytes) {
      const { bytes } = await runner.overlapped('WSARecvMsg', (ov, errno) =>
        messages.receiveMessage(s, lpMsg, null, ov, null, errno),
      );
      return told(lpBytes, bytes);
    },
  };
  return twins;
}
