// A connected process that has nothing to do: its thread blocked in a wait without a time limit, or its
// event loop idle below a promised receive. Answers the byte that wakes it with the next one.

import type { Host } from '../../../index.js';
import * as spi from '../../../provider/spi/index.js';
import type { EndpointPlan } from './endpoint.js';
import { closeEndpoint, must, openEndpoint } from './endpoint.js';
import { plan, say } from './talk.js';

export interface IdlePlan extends EndpointPlan {
  readonly style: 'wait' | 'promise';
}

const given = plan() as IdlePlan;
const { host, socket } = await openEndpoint(given);
const buffer = Buffer.alloc(16);
say({ idle: true });
const count = given.style === 'wait' ? receiveInWait(host) : await receiveInEventLoop(host);
if (count === 1) {
  buffer[0] = (buffer[0] ?? 0) + 1;
  must(host, 'send', host.winsock.send(socket, buffer, 1, 0));
}
host.winsock.closesocket(socket);
await closeEndpoint(host, { count });

function receiveInEventLoop({ winsock }: Host): Promise<number> {
  return winsock.promises.recv(socket, buffer, buffer.length, 0);
}

function receiveInWait({ winsock }: Host): number {
  const event = winsock.WSACreateEvent();
  const overlapped = spi.createOverlapped(event);
  const bytes = spi.ref(0);
  const flags = spi.ref(0);
  const buffers = [{ len: buffer.length, buf: buffer }];
  winsock.WSARecv(socket, buffers, 1, null, flags, overlapped, null);
  winsock.WSAWaitForMultipleEvents(1, [event], false, spi.WSA_INFINITE, false);
  const isDone = winsock.WSAGetOverlappedResult(socket, overlapped, bytes, false, flags);
  if (!isDone) throw new spi.WsaError(winsock.WSAGetLastError(), { call: 'WSARecv' });
  winsock.WSACloseEvent(event);
  return bytes.value;
}
