// Two hosts of one thread with the SAN provider on each, no switch, and a connection between them: the
// path of a provider engineer.

import { RawProvider, listenRaw } from '../../../bench/endpoint-provider.js';
import * as spi from '../../../provider/spi/index.js';

const PORT = 7_000;

export interface RawEnd {
  readonly raw: RawProvider;
  readonly socket: number;
}

export interface RawPairPlan {
  readonly fabric: string;
  readonly engine: 'inline' | 'worker';
  readonly pin?: 'require' | 'try';
}

export async function openRawPair(plan: RawPairPlan): Promise<readonly [RawEnd, RawEnd]> {
  const a = await RawProvider.open({ ...plan, address: '127.77.0.1' });
  const b = await RawProvider.open({ ...plan, address: '127.77.0.2' });
  const errno = spi.ref(0);
  const listener = listenRaw(b, PORT);
  const atA = a.table.lpWSPSocket(
    spi.AF_INET,
    spi.SOCK_STREAM,
    spi.IPPROTO_TCP,
    null,
    0,
    spi.WSA_FLAG_OVERLAPPED,
    errno,
  );
  const name = spi.sockaddrIn('127.77.0.1', PORT);
  a.table.lpWSPBind(atA, name, name.length, errno);
  const event = a.upcalls.newEvent();
  a.table.lpWSPEventSelect(atA, event, spi.FD_CONNECT, errno);
  const to = spi.sockaddrIn('127.77.0.2', PORT);
  a.table.lpWSPConnect(atA, to, to.length, null, null, null, null, errno);
  let atB: number = spi.INVALID_SOCKET;
  b.wait(() => {
    atB = b.table.lpWSPAccept(listener, null, null, () => spi.CF_ACCEPT, null, errno);
    return atB !== spi.INVALID_SOCKET;
  }, 'WSPAccept');
  a.wait(() => a.upcalls.isSet(event), 'WSPConnect');
  const events = spi.createNetworkEvents();
  a.table.lpWSPEnumNetworkEvents(atA, event, events, errno);
  const error = events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
  if (error !== 0) throw new spi.WsaError(error, { call: 'WSPConnect' });
  b.table.lpWSPCloseSocket(listener, errno);
  return [
    { raw: a, socket: atA },
    { raw: b, socket: atB },
  ];
}
