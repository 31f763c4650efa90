// The whole stack: winsock of two hosts in two processes, over TCP/IP alone; blocking calls, or
// overlapped ones that are waited for.

import { once } from 'node:events';
import * as spi from '../../provider/spi/index.js';
import { openHost, tcpipProvider } from '../../index.js';
import type { Winsock } from '../../index.js';
import { blockingWay, BYTES } from './way.js';
import type { Way } from './way.js';

export type Calls = 'blocking' | 'overlapped';

const ADDRESSES = { near: '127.79.0.1', far: '127.79.0.2' };

function must(winsock: Winsock, result: number): number {
  if (result === spi.SOCKET_ERROR || result === spi.INVALID_SOCKET) {
    throw new Error(spi.errorName(winsock.WSAGetLastError()));
  }
  return result;
}

async function startWinsock(side: 'near' | 'far', fabric: string): Promise<Winsock> {
  const host = await openHost({
    fabric,
    address: ADDRESSES[side],
    engine: 'inline',
    providers: [tcpipProvider],
  });
  const wsaData = {
    ...{ wVersion: 0, wHighVersion: 0, iMaxSockets: 0, iMaxUdpDg: 0 },
    ...{ lpVendorInfo: null, szDescription: '', szSystemStatus: '' },
  };
  must(host.winsock, host.winsock.WSAStartup(0x0202, wsaData));
  return host.winsock;
}

function socketOf(winsock: Winsock, type: number, side: 'near' | 'far'): number {
  const s = must(winsock, winsock.socket(spi.AF_INET, type, 0));
  must(winsock, winsock.bind(s, spi.sockaddrIn(ADDRESSES[side], 0), 16));
  return s;
}

function portOf(winsock: Winsock, s: number): number {
  const name = new Uint8Array(16);
  must(winsock, winsock.getsockname(s, name, spi.ref(16)));
  return spi.sockaddrPort(name);
}

function noDelay(winsock: Winsock, s: number): void {
  const on = Uint8Array.of(1, 0, 0, 0);
  must(winsock, winsock.setsockopt(s, spi.IPPROTO_TCP, spi.TCP_NODELAY, on, 4));
}

interface Messages {
  send(): void;
  /** The bytes received; 0 is the end. */
  receive(): number;
}

function blockingMessages(winsock: Winsock, s: number): Messages {
  const buffer = new Uint8Array(BYTES);
  return {
    send: () => {
      must(winsock, winsock.send(s, buffer, BYTES, 0));
    },
    receive: () => must(winsock, winsock.recv(s, buffer, BYTES, 0)),
  };
}

function overlappedMessages(winsock: Winsock, s: number): Messages {
  const buffers = [{ len: BYTES, buf: new Uint8Array(BYTES) }];
  const events = [winsock.WSACreateEvent()];
  const overlapped = spi.createOverlapped(events[0] ?? 0);
  const [bytes, flags] = [spi.ref(0), spi.ref(0)];
  const wait = (result: number): number => {
    if (result !== 0 && winsock.WSAGetLastError() !== spi.WSA_IO_PENDING) must(winsock, result);
    winsock.WSAWaitForMultipleEvents(1, events, false, spi.WSA_INFINITE, false);
    if (!winsock.WSAGetOverlappedResult(s, overlapped, bytes, false, flags)) must(winsock, -1);
    return bytes.value;
  };
  return {
    send: () => {
      wait(winsock.WSASend(s, buffers, 1, null, 0, overlapped, null));
    },
    receive: () => {
      flags.value = 0;
      return wait(winsock.WSARecv(s, buffers, 1, null, flags, overlapped, null));
    },
  };
}

const messagesOf = (calls: Calls, winsock: Winsock, s: number): Messages =>
  calls === 'blocking' ? blockingMessages(winsock, s) : overlappedMessages(winsock, s);

export async function echo(type: number, calls: Calls, fabric: string): Promise<void> {
  const winsock = await startWinsock('far', fabric);
  const isStream = type === spi.SOCK_STREAM;
  const s = socketOf(winsock, type, 'far');
  if (isStream) must(winsock, winsock.listen(s, 1));
  process.send?.(portOf(winsock, s));
  const [port] = (await once(process, 'message')) as [number];
  const peer = isStream ? must(winsock, winsock.accept(s, null, null)) : s;
  if (isStream) noDelay(winsock, peer);
  else must(winsock, winsock.connect(peer, spi.sockaddrIn(ADDRESSES.near, port), 16));
  process.send?.('ready');
  const messages = messagesOf(calls, winsock, peer);
  while (messages.receive() > 0) messages.send();
  process.exit(0);
}

export async function open(
  type: number,
  calls: Calls,
  fabric: string,
  port: number,
  tell: (port: number) => void,
): Promise<Way> {
  const winsock = await startWinsock('near', fabric);
  const s = socketOf(winsock, type, 'near');
  must(winsock, winsock.connect(s, spi.sockaddrIn(ADDRESSES.far, port), 16));
  if (type === spi.SOCK_STREAM) noDelay(winsock, s);
  tell(portOf(winsock, s));
  const messages = messagesOf(calls, winsock, s);
  const trip = (): void => {
    messages.send();
    messages.receive();
  };
  return blockingWay(trip, () => {
    if (type === spi.SOCK_DGRAM) must(winsock, winsock.send(s, new Uint8Array(0), 0, 0));
    winsock.closesocket(s);
  });
}
