// Below the switch, as a provider engineer works: two hosts in one process, the reference SAN provider
// driven through its own functions. Memory is registered on one side, exposed on the other, and written
// by RDMA; the outcome is polled. Run: node dist/examples/rdma-transfer.js

import * as spi from '../provider/spi/index.js';
import { openRawHost, waitFor } from './provider-helpers.js';
import type { RawHost } from './provider-helpers.js';

const BYTES = 1 << 20;
const PORT = 7000;
const EVENT = 4;
/** The low bit of an event handle: the provider tells nobody, the caller polls. */
const SUPPRESSED = 1;
const errno = spi.ref(0);

const writer = await openRawHost(`rdma-${process.pid}`, '127.77.0.1');
const target = await openRawHost(`rdma-${process.pid}`, '127.77.0.2');

const listener = newSocket(target, '127.77.0.2', PORT);
check('WSPListen', target.table.lpWSPListen(listener, 1, errno) === 0);
const connecting = newSocket(writer, '127.77.0.1', PORT + 1);
const name = spi.sockaddrIn('127.77.0.2', PORT);
writer.table.lpWSPEventSelect(connecting, EVENT, spi.FD_CONNECT, errno);
writer.table.lpWSPConnect(connecting, name, name.length, null, null, null, null, errno);
let accepted = spi.INVALID_SOCKET;
waitFor(target, () => {
  const accept = (): number => spi.CF_ACCEPT;
  accepted = target.table.lpWSPAccept(listener, null, null, accept, null, errno);
  return accepted !== spi.INVALID_SOCKET;
});
const events = spi.createNetworkEvents();
waitFor(writer, () => {
  writer.table.lpWSPEnumNetworkEvents(connecting, EVENT, events, errno);
  return (events.lNetworkEvents & spi.FD_CONNECT) !== 0;
});
errno.value = events.iErrorCode[spi.FD_CONNECT_BIT] ?? 0;
check('WSPConnect', errno.value === 0);

const exposed = allocate(target);
const descriptor = new Uint8Array(256);
const length = spi.ref(descriptor.length);
const expose = target.extension('WSPRegisterRdmaMemory');
const isExposed = expose(accepted, exposed, BYTES, spi.MEM_WRITE, descriptor, length, errno) === 0;
check('WSPRegisterRdmaMemory', isExposed);

const source = allocate(writer);
source.forEach((_, at) => (source[at] = at * 7));
const handle = writer.extension('WSPRegisterMemory')(
  connecting,
  source,
  BYTES,
  spi.MEM_READ,
  errno,
);
check('WSPRegisterMemory', handle !== 0);

const overlapped = spi.createOverlapped(EVENT | SUPPRESSED);
const [written, flags] = [spi.ref(0), spi.ref(0)];
const write = writer.extension('WSPRdmaWrite');
const buffers = [{ len: BYTES, buf: source, handle }];
const result = write(
  connecting,
  buffers,
  1,
  descriptor,
  length.value,
  0,
  written,
  0,
  overlapped,
  null,
  null,
  errno,
);
check('WSPRdmaWrite', result === 0 || errno.value === spi.WSA_IO_PENDING);
waitFor(writer, () => {
  const { table } = writer;
  return table.lpWSPGetOverlappedResult(connecting, overlapped, written, false, flags, errno);
});
const isEqual = Buffer.compare(source, exposed) === 0;
console.log(
  `wrote ${written.value} bytes into the peer's memory: ${isEqual ? 'equal' : 'different'}`,
);

for (const side of [writer, target]) {
  side.table.lpWSPCleanup(errno);
  await side.host.close();
}
process.exitCode = isEqual ? 0 : 1;

function newSocket({ table }: RawHost, ip: string, port: number): number {
  const { AF_INET, SOCK_STREAM, IPPROTO_TCP, WSA_FLAG_OVERLAPPED } = spi;
  const s = table.lpWSPSocket(
    AF_INET,
    SOCK_STREAM,
    IPPROTO_TCP,
    null,
    0,
    WSA_FLAG_OVERLAPPED,
    errno,
  );
  check('WSPSocket', s !== spi.INVALID_SOCKET);
  const address = spi.sockaddrIn(ip, port);
  check('WSPBind', table.lpWSPBind(s, address, address.length, errno) === 0);
  return s;
}

function allocate({ host }: RawHost): Uint8Array {
  const memory = host.memory.VirtualAlloc(BYTES);
  if (memory === null) throw new Error('there is no more memory');
  return memory;
}

function check(call: string, isGood: boolean): void {
  if (!isGood) throw new spi.WsaError(errno.value, { call });
}
