// Sockets, their names, connections, options and ends, under their Winsock names. Contracts as in
// ws2spi-functions.ts, with the last error in place of lpErrno. Sources: W3, W10.1, W11, W12, ACC-01.

import * as wsa from '../../provider/spi/error-codes.js';
import type { ExtensionFunctionPointer } from '../../provider/spi/ws2san.js';
import type { DWORD_PTR, LPCONDITIONPROC, QOS, Ref } from '../../provider/spi/winsock2.js';
import type { WSABUF, WSAOVERLAPPED, WSAPROTOCOL_INFO } from '../../provider/spi/winsock2.js';
import type { WSAOVERLAPPED_COMPLETION_ROUTINE } from '../../provider/spi/winsock2.js';
import {
  INVALID_SOCKET,
  ref,
  SD_RECEIVE,
  SD_SEND,
  SOCKET_ERROR,
  WSA_FLAG_OVERLAPPED,
} from '../../provider/spi/winsock2.js';
import { uint32 } from '../companion.js';
import { int } from '../options.js';
import type { ApiState } from './last-error.js';

type Name = Uint8Array | null;
type Length = Ref<number> | null;

export interface SocketFunctions {
  /** A socket with the overlapped attribute; INVALID_SOCKET on failure. [W3.1, W3.3] */
  socket(af: number, type: number, protocol: number): number;
  WSASocket(
    af: number,
    type: number,
    protocol: number,
    lpProtocolInfo: WSAPROTOCOL_INFO | null,
    g: number,
    dwFlags: number,
  ): number;
  /**
   * Fills `lpProtocolInfo` in for one WSASocket of the process `dwProcessId`, which then has the same
   * socket: in this process whatever carries it, in another one TCP/IP only (WSAEOPNOTSUPP). The socket
   * ends with its last descriptor. WSAEFAULT, WSAEINVAL, WSAENOTSOCK, WSAENOBUFS. [W3.7]
   */
  WSADuplicateSocket(
    s: number,
    dwProcessId: number,
    lpProtocolInfo: WSAPROTOCOL_INFO | null,
  ): number;
  bind(s: number, name: Name, namelen: number): number;
  listen(s: number, backlog: number): number;
  accept(s: number, addr: Name, addrlen: Length): number;
  WSAAccept(
    s: number,
    addr: Name,
    addrlen: Length,
    lpfnCondition: LPCONDITIONPROC | null,
    dwCallbackData: DWORD_PTR,
  ): number;
  connect(s: number, name: Name, namelen: number): number;
  WSAConnect(
    s: number,
    name: Name,
    namelen: number,
    lpCallerData: WSABUF | null,
    lpCalleeData: WSABUF | null,
    lpSQOS: QOS | null,
    lpGQOS: QOS | null,
  ): number;
  shutdown(s: number, how: number): number;
  /**
   * shutdown(SD_SEND), and shutdown(SD_RECEIVE): no protocol here carries data with the end of a stream,
   * so the buffer of the first must be empty or null (WSAENOPROTOOPT), and that of the second gets
   * nothing. [W9.10.6]
   */
  WSASendDisconnect(s: number, lpOutboundDisconnectData: WSABUF | null): number;
  WSARecvDisconnect(s: number, lpInboundDisconnectData: WSABUF | null): number;
  /** Returns at once; what was sent is still delivered, unless SO_LINGER says otherwise. [W12.4] */
  closesocket(s: number): number;
  getsockname(s: number, name: Name, namelen: Length): number;
  getpeername(s: number, name: Name, namelen: Length): number;
  setsockopt(
    s: number,
    level: number,
    optname: number,
    optval: Uint8Array | null,
    optlen: number,
  ): number;
  getsockopt(
    s: number,
    level: number,
    optname: number,
    optval: Uint8Array | null,
    optlen: Length,
  ): number;
  ioctlsocket(s: number, cmd: number, argp: Length): number;
  WSAIoctl(
    s: number,
    dwIoControlCode: number,
    lpvInBuffer: Uint8Array | null,
    cbInBuffer: number,
    lpvOutBuffer: Uint8Array | ExtensionFunctionPointer | null,
    cbOutBuffer: number,
    lpcbBytesReturned: Length,
    lpOverlapped: WSAOVERLAPPED | null,
    lpCompletionRoutine: WSAOVERLAPPED_COMPLETION_ROUTINE | null,
  ): number;
}

export function socketFunctions(state: ApiState): SocketFunctions {
  const { spi, errno } = state;
  const no = SOCKET_ERROR;
  const made = (s: number): number => state.pass(s, INVALID_SOCKET);
  const WSASocket: SocketFunctions['WSASocket'] = (af, type, protocol, info, g, dwFlags) => {
    if (!state.isStarted()) return INVALID_SOCKET;
    return made(spi.WSPSocket(af, type, protocol, info, g, dwFlags, errno));
  };
  const WSAAccept: SocketFunctions['WSAAccept'] = (s, addr, addrlen, condition, data) => {
    if (!state.isStarted()) return INVALID_SOCKET;
    return made(spi.WSPAccept(s, addr, addrlen, condition, data, errno));
  };
  const WSAConnect: SocketFunctions['WSAConnect'] = (
    s,
    name,
    namelen,
    caller,
    callee,
    sqos,
    gqos,
  ) => {
    if (!state.isStarted()) return no;
    return state.pass(spi.WSPConnect(s, name, namelen, caller, callee, sqos, gqos, errno), no);
  };
  return {
    WSASocket,
    WSAAccept,
    WSAConnect,
    ...controlFunctions(state),
    socket: (af, type, protocol) => WSASocket(af, type, protocol, null, 0, WSA_FLAG_OVERLAPPED),
    accept: (s, addr, addrlen) => WSAAccept(s, addr, addrlen, null, null),
    connect: (s, name, namelen) => WSAConnect(s, name, namelen, null, null, null, null),
    WSADuplicateSocket: (s, processId, info) =>
      state.isStarted() ? state.pass(spi.WSPDuplicateSocket(s, processId, info, errno), no) : no,
    bind: (s, name, namelen) =>
      state.isStarted() ? state.pass(spi.WSPBind(s, name, namelen, errno), no) : no,
    listen: (s, backlog) =>
      state.isStarted() ? state.pass(spi.WSPListen(s, backlog, errno), no) : no,
    shutdown: (s, how) => (state.isStarted() ? state.pass(spi.WSPShutdown(s, how, errno), no) : no),
    WSASendDisconnect(s, data) {
      if (!state.isStarted()) return no;
      if (data !== null && data.len > 0) return state.fail(wsa.WSAENOPROTOOPT);
      return state.pass(spi.WSPShutdown(s, SD_SEND, errno), no);
    },
    WSARecvDisconnect(s, data) {
      if (!state.isStarted()) return no;
      if (data !== null) data.len = 0;
      return state.pass(spi.WSPShutdown(s, SD_RECEIVE, errno), no);
    },
    closesocket: (s) => (state.isStarted() ? state.pass(spi.WSPCloseSocket(s, errno), no) : no),
    getsockname: (s, name, namelen) =>
      state.isStarted() ? state.pass(spi.WSPGetSockName(s, name, namelen, errno), no) : no,
    getpeername: (s, name, namelen) =>
      state.isStarted() ? state.pass(spi.WSPGetPeerName(s, name, namelen, errno), no) : no,
  };
}

type ControlFunctions = Pick<
  SocketFunctions,
  'setsockopt' | 'getsockopt' | 'ioctlsocket' | 'WSAIoctl'
>;

function controlFunctions(state: ApiState): ControlFunctions {
  const { spi, errno } = state;
  const no = SOCKET_ERROR;
  return {
    setsockopt(s, level, optname, optval, optlen) {
      if (!state.isStarted()) return no;
      return state.pass(spi.WSPSetSockOpt(s, level, optname, optval, optlen, errno), no);
    },
    getsockopt(s, level, optname, optval, optlen) {
      if (!state.isStarted()) return no;
      return state.pass(spi.WSPGetSockOpt(s, level, optname, optval, optlen, errno), no);
    },
    ioctlsocket(s, cmd, argp) {
      if (!state.isStarted()) return no;
      if (argp === null) return state.fail(wsa.WSAEFAULT);
      // One u_long is input and output at once; each code reads or writes it.
      const value = int(argp.value);
      const bytes = ref(0);
      const result = spi.WSPIoctl(s, cmd, value, 4, value, 4, bytes, null, null, null, errno);
      if (result === 0 && bytes.value > 0) argp.value = uint32(value);
      return state.pass(result, no);
    },
    WSAIoctl(s, code, input, cbIn, output, cbOut, lpcb, overlapped, routine) {
      if (!state.isStarted()) return no;
      const thread = state.theSwitch.core.apcs.threadId;
      const result = spi.WSPIoctl(
        s,
        code,
        input,
        cbIn,
        output,
        cbOut,
        lpcb,
        overlapped,
        routine,
        thread,
        errno,
      );
      return state.pass(result, no);
    },
  };
}
