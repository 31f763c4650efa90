// Answers everything with the same, one connection after the other, until Ctrl-C. The promise twins
// leave the event loop free. Run: node dist/examples/echo-server.js [--address 127.77.0.1] [--port 7007]

import { openHost } from '../index.js';
import {
  AF_INET,
  IPPROTO_TCP,
  isWsaError,
  sockaddrIn,
  SOCK_STREAM,
} from '../provider/spi/index.js';
import { exampleArguments, must, startWinsock } from './helpers.js';

const { fabric, address, port } = exampleArguments('127.77.0.1');
const host = await openHost({ fabric, address });
const winsock = startWinsock(host);
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void host.close().then(() => process.exit(0)));
}

const listener = winsock.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
const name = sockaddrIn(address, port);
must(winsock, 'bind', winsock.bind(listener, name, name.length));
must(winsock, 'listen', winsock.listen(listener, 5));
console.log(`echo server on ${address}:${port}, fabric ${fabric}`);

const buffer = host.VirtualAlloc(64 * 1024) ?? new Uint8Array(64 * 1024);
for (;;) {
  const socket = await winsock.promises.accept(listener, null, null);
  const bytes = await echo(socket);
  console.log(`${bytes} bytes echoed; SAN connections so far: ${host.statistics().sanConnections}`);
}

async function echo(socket: number): Promise<number> {
  let total = 0;
  try {
    for (;;) {
      const length = await winsock.promises.recv(socket, buffer, buffer.length, 0);
      if (length === 0) return total;
      await winsock.promises.send(socket, buffer, length, 0);
      total += length;
    }
  } catch (thrown) {
    // A client that died ends its connection, not the server.
    if (!isWsaError(thrown)) throw thrown;
    console.log(thrown.message);
    return total;
  } finally {
    winsock.closesocket(socket);
  }
}
