// mswsock.h: AcceptEx, GetAcceptExSockaddrs, ConnectEx, DisconnectEx and TransmitFile under their names,
// as functions, by their GUIDs, and as promise twins. They return TRUE or FALSE, with the last error:
// WSA_IO_PENDING when the operation goes on. Sources: XFER-17, W2.16, W11.4; mswsock.h by parameter
// order.

import type { Ref, WSAOVERLAPPED } from '../../provider/spi/winsock2.js';
import { createOverlapped, ref } from '../../provider/spi/winsock2.js';
import { WSA_IO_PENDING } from '../../provider/spi/error-codes.js';
import { WsaError } from '../../provider/spi/errors.js';
import {
  WSAID_ACCEPTEX,
  WSAID_CONNECTEX,
  WSAID_DISCONNECTEX,
  WSAID_GETACCEPTEXSOCKADDRS,
  WSAID_TRANSMITFILE,
} from '../../provider/spi/ws2san.js';
import { acceptEx, getAcceptExSockaddrs } from '../ex/accept-ex.js';
import type { ExtendedContext } from '../ex/call.js';
import { connectEx } from '../ex/connect-ex.js';
import { disconnectEx } from '../ex/disconnect-ex.js';
import type { TRANSMIT_FILE_BUFFERS } from '../ex/transmit-file.js';
import { transmitFile } from '../ex/transmit-file.js';
import type { ApiState } from './last-error.js';

export interface ExtendedFunctions {
  /**
   * Accepts into sAcceptSocket, an unbound socket or one that DisconnectEx made reusable. The output
   * gets dwReceiveDataLength bytes of first data (0: do not wait for any) and both addresses, each
   * area at least 16 bytes longer than the sockaddr. lpOverlapped is required.
   */
  readonly AcceptEx: (
    sListenSocket: number,
    sAcceptSocket: number,
    lpOutputBuffer: Uint8Array | null,
    dwReceiveDataLength: number,
    dwLocalAddressLength: number,
    dwRemoteAddressLength: number,
    lpdwBytesReceived: Ref<number> | null,
    lpOverlapped: WSAOVERLAPPED | null,
  ) => boolean;
  /** Views of the addresses in the output of AcceptEx, which was called with the same lengths. */
  readonly GetAcceptExSockaddrs: (
    lpOutputBuffer: Uint8Array | null,
    dwReceiveDataLength: number,
    dwLocalAddressLength: number,
    dwRemoteAddressLength: number,
    LocalSockaddr: Ref<Uint8Array | null>,
    LocalSockaddrLength: Ref<number>,
    RemoteSockaddr: Ref<Uint8Array | null>,
    RemoteSockaddrLength: Ref<number>,
  ) => void;
  /** Connects a bound socket and sends lpSendBuffer when it is. lpOverlapped is required. */
  readonly ConnectEx: (
    s: number,
    name: Uint8Array | null,
    namelen: number,
    lpSendBuffer: Uint8Array | null,
    dwSendDataLength: number,
    lpdwBytesSent: Ref<number> | null,
    lpOverlapped: WSAOVERLAPPED | null,
  ) => boolean;
  /** Ends the connection. dwFlags: 0, or TF_REUSE_SOCKET (2). Without lpOverlapped it waits. */
  readonly DisconnectEx: (
    s: number,
    lpOverlapped: WSAOVERLAPPED | null,
    dwFlags: number,
    dwReserved: number,
  ) => boolean;
  /**
   * Sends a head, a file and a tail. hFile is a file descriptor of this process, 0 for none; from
   * the offset in lpOverlapped, or from the file's own position and waiting without it.
   * nNumberOfBytesToWrite 0: to the end of the file. dwFlags: TF_DISCONNECT (1), TF_REUSE_SOCKET
   * (2), and hints that change nothing here.
   */
  readonly TransmitFile: (
    hSocket: number,
    hFile: number,
    nNumberOfBytesToWrite: number,
    nNumberOfBytesPerSend: number,
    lpOverlapped: WSAOVERLAPPED | null,
    lpTransmitBuffers: TRANSMIT_FILE_BUFFERS | null,
    dwFlags: number,
  ) => boolean;
}

/** Twins resolve with the bytes of the operation and reject with WsaError. */
export interface ExtendedPromises {
  AcceptEx(
    sListenSocket: number,
    sAcceptSocket: number,
    lpOutputBuffer: Uint8Array | null,
    dwReceiveDataLength: number,
    dwLocalAddressLength: number,
    dwRemoteAddressLength: number,
  ): Promise<number>;
  ConnectEx(
    s: number,
    name: Uint8Array | null,
    namelen: number,
    lpSendBuffer: Uint8Array | null,
    dwSendDataLength: number,
  ): Promise<number>;
  DisconnectEx(s: number, dwFlags: number, dwReserved: number): Promise<number>;
  /** From `offset` bytes into the file. */
  TransmitFile(
    hSocket: number,
    hFile: number,
    nNumberOfBytesToWrite: number,
    nNumberOfBytesPerSend: number,
    lpTransmitBuffers: TRANSMIT_FILE_BUFFERS | null,
    dwFlags: number,
    offset?: number,
  ): Promise<number>;
}

export function extendedFunctions(state: ApiState): ExtendedFunctions {
  const { core } = state.theSwitch;
  const context: ExtendedContext = { core, transfers: state.spi.transfers };
  const call = (start: (errno: Ref<number>) => boolean): boolean => {
    if (!state.isStarted()) return false;
    const errno = ref(0);
    if (start(errno)) return true;
    state.lastError = errno.value;
    return false;
  };
  const functions: ExtendedFunctions = {
    AcceptEx: (
      listenSocket,
      acceptSocket,
      output,
      receiveLength,
      localLength,
      remoteLength,
      lpBytes,
      overlapped,
    ) =>
      call((errno) => {
        const lengths = { receiveLength, localLength, remoteLength };
        const args = { listenSocket, acceptSocket, output, overlapped, ...lengths };
        return acceptEx(context, args, lpBytes, errno);
      }),
    GetAcceptExSockaddrs: (output, receive, local, remote, lName, lLength, rName, rLength) =>
      getAcceptExSockaddrs(
        output,
        { receive, local, remote },
        { name: lName, length: lLength },
        { name: rName, length: rLength },
      ),
    ConnectEx: (s, name, namelen, sendBuffer, sendLength, lpBytes, overlapped) =>
      call((errno) => {
        const args = { s, name, namelen, sendBuffer, sendLength, overlapped };
        return connectEx(context, args, lpBytes, errno);
      }),
    DisconnectEx: (s, overlapped, flags, reserved) =>
      call((errno) => disconnectEx(context, { s, overlapped, flags, reserved }, errno)),
    TransmitFile: (s, file, bytesToWrite, bytesPerSend, overlapped, buffers, flags) =>
      call((errno) => {
        const args = { s, file, bytesToWrite, bytesPerSend, overlapped, buffers, flags };
        return transmitFile(context, args, errno);
      }),
  };
  core.extensions.add(WSAID_ACCEPTEX, functions.AcceptEx);
  core.extensions.add(WSAID_GETACCEPTEXSOCKADDRS, functions.GetAcceptExSockaddrs);
  core.extensions.add(WSAID_CONNECTEX, functions.ConnectEx);
  core.extensions.add(WSAID_DISCONNECTEX, functions.DisconnectEx);
  core.extensions.add(WSAID_TRANSMITFILE, functions.TransmitFile);
  return functions;
}

type AwaitResult = (
  s: number,
  lpOverlapped: WSAOVERLAPPED,
  lpcbTransfer: Ref<number>,
  fWait: boolean,
  lpdwFlags: Ref<number>,
) => Promise<boolean>;

/** Each starts the overlapped operation and awaits it as WSAGetOverlappedResult does. */
export function extendedPromises(
  state: ApiState,
  functions: ExtendedFunctions,
  awaitResult: AwaitResult,
): ExtendedPromises {
  const settle = async (
    name: string,
    s: number,
    start: (overlapped: WSAOVERLAPPED) => boolean,
    overlapped: WSAOVERLAPPED = createOverlapped(),
  ): Promise<number> => {
    if (!start(overlapped) && state.lastError !== WSA_IO_PENDING) {
      throw new WsaError(state.lastError, { call: name });
    }
    const bytes = ref(0);
    await awaitResult(s, overlapped, bytes, true, ref(0));
    return bytes.value;
  };
  return {
    AcceptEx: (listen, accept, output, receive, local, remote) =>
      settle('AcceptEx', listen, (overlapped) =>
        functions.AcceptEx(listen, accept, output, receive, local, remote, null, overlapped),
      ),
    ConnectEx: (s, name, namelen, buffer, length) =>
      settle('ConnectEx', s, (overlapped) =>
        functions.ConnectEx(s, name, namelen, buffer, length, null, overlapped),
      ),
    DisconnectEx: (s, flags, reserved) =>
      settle('DisconnectEx', s, (overlapped) =>
        functions.DisconnectEx(s, overlapped, flags, reserved),
      ),
    TransmitFile(s, file, bytes, perSend, buffers, flags, offset = 0) {
      const overlapped = createOverlapped();
      overlapped.Offset = offset % 2 ** 32;
      overlapped.OffsetHigh = Math.floor(offset / 2 ** 32);
      const start = (ov: WSAOVERLAPPED): boolean =>
        functions.TransmitFile(s, file, bytes, perSend, ov, buffers, flags);
      return settle('TransmitFile', s, start, overlapped);
    },
  };
}
