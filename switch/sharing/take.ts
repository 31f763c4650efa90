// The new controller's part of a move: the provider's socket from what WSPDuplicateSocket left, a
// connection around it, a session that goes on from the old one's state. Waits for the provider.
// Sources: DUP-12, DUP-13, COMP-07, ERR-02.

import * as wsa from '../../provider/spi/error-codes.js';
import * as ws from '../../provider/spi/winsock2.js';
import { Companion } from '../companion.js';
import { Connection } from '../connection.js';
import { NOBODY } from '../connection-watcher.js';
import type { SwitchCore } from '../core.js';
import type { ControlState } from './state.js';

/** The connection, quiet until resume(); or the error, with nothing left over. */
export function takeConnection(
  core: SwitchCore,
  providerId: string,
  state: ControlState,
): Connection | number {
  const provider = core.providers.find((one) => one.providerId === providerId);
  if (provider === undefined) return wsa.WSAECONNABORTED;
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED } = ws;
  const { procs } = provider;
  const info = { ...core.tcpInfo, dwProviderReserved: state.reserved };
  const errno = ws.ref(0);
  // Other sockets may be made while it waits: the first handle made since is this one's.
  const made = core.handles.expect();
  const flags = WSA_FLAG_OVERLAPPED;
  const s = procs.lpWSPSocket(AF_INET, SOCK_STREAM, IPPROTO_TCP, info, 0, flags, errno);
  const handle = made.taken();
  if (s === ws.INVALID_SOCKET) return errno.value;
  const event = core.createOwnEvent({ attend: () => undefined });
  const { limits, role, session } = state;
  const memory = event === 0 ? null : core.memory.take(limits);
  if (memory === null) {
    procs.lpWSPCloseSocket(s, errno);
    if (event !== 0) core.events.close(event);
    return wsa.WSAENOBUFS;
  }
  const companion = new Companion(core, { provider, descriptor: s, handle, event, limits });
  const connection = new Connection(core, companion, role, memory);
  const error = connection.start(NOBODY, session);
  return error === 0 ? connection : error;
}
