// What AcceptEx and ConnectEx leave for the application to ask for: SO_UPDATE_ACCEPT_CONTEXT, which
// makes the accepted socket its listener's child, SO_UPDATE_CONNECT_CONTEXT, and SO_CONNECT_TIME.
// Sources: W2.8, W10.10; mswsock.h.

import * as wsa from '../../provider/spi/error-codes.js';
import * as ws from '../../provider/spi/winsock2.js';
import { seconds } from '../../runtime/clock.js';
import { inherit } from '../accept.js';
import { uint32 } from '../companion.js';
import type { SwitchCore } from '../core.js';
import type { SwitchSocket } from '../socket.js';
import { SocketState } from '../socket.js';

const HANDLE_BYTES_MIN = 4;
/** SO_CONNECT_TIME of a socket that is not connected. */
const NOT_CONNECTED = 0xffff_ffff;

/** Whether an option of SOL_SOCKET is one of the two. */
export function isContext(name: number): boolean {
  return name === ws.SO_UPDATE_ACCEPT_CONTEXT || name === ws.SO_UPDATE_CONNECT_CONTEXT;
}

/** Sets one of them. 0, or the error. */
export function updateContext(
  core: SwitchCore,
  socket: SwitchSocket,
  name: number,
  value: Uint8Array,
): number {
  if (name === ws.SO_UPDATE_ACCEPT_CONTEXT) return updateAcceptContext(core, socket, value);
  return updateConnectContext(socket);
}

/** Sets SO_UPDATE_ACCEPT_CONTEXT to the listener's handle. 0, or the error. */
function updateAcceptContext(core: SwitchCore, socket: SwitchSocket, value: Uint8Array): number {
  if (value.length < HANDLE_BYTES_MIN) return wsa.WSAEFAULT;
  const listener = core.sockets.find(uint32(value));
  if (listener === null) return wsa.WSAENOTSOCK;
  if (listener.state !== SocketState.listening) return wsa.WSAEINVAL;
  if (socket.state !== SocketState.connected) return wsa.WSAENOTCONN;
  if (socket.needsContext) inherit(listener, socket);
  socket.needsContext = false;
  return 0;
}

/** Sets SO_UPDATE_CONNECT_CONTEXT. 0, or the error. */
function updateConnectContext(socket: SwitchSocket): number {
  if (socket.state !== SocketState.connected) return wsa.WSAENOTCONN;
  socket.needsContext = false;
  return 0;
}

/** SO_CONNECT_TIME: for how many whole seconds it has been connected; 0xffffffff when it is not. */
export function connectTime(core: SwitchCore, socket: SwitchSocket): number {
  if (socket.connectedAt < 0) return NOT_CONNECTED;
  return Math.floor((core.environment.clock.now() - socket.connectedAt) / seconds(1));
}
