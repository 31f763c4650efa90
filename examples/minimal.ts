// The smallest program: two hosts of one fabric in one process, a connection between them through the
// SAN provider, one message. Run: node dist/examples/minimal.js

import { openHost } from '../index.js';
import { AF_INET, IPPROTO_TCP, sockaddrIn, SOCK_STREAM } from '../provider/spi/index.js';
import { startWinsock } from './helpers.js';

const server = await openHost({ fabric: `minimal-${process.pid}`, address: '127.77.0.1' });
const client = await openHost({ fabric: `minimal-${process.pid}`, address: '127.77.0.2' });
const [there, here] = [startWinsock(server), startWinsock(client)];

const name = sockaddrIn('127.77.0.1', 7777);
const listener = there.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
there.bind(listener, name, name.length);
there.listen(listener, 5);

const sending = here.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
here.connect(sending, name, name.length);
const receiving = there.accept(listener, null, null);

const message = new TextEncoder().encode('Hello over the SAN');
here.send(sending, message, message.length, 0);
const buffer = new Uint8Array(64);
const length = there.recv(receiving, buffer, buffer.length, 0);
console.log(new TextDecoder().decode(buffer.subarray(0, length)));
console.log(`SAN connections: ${server.statistics().sanConnections}`);

here.closesocket(sending);
there.closesocket(receiving);
await client.close();
await server.close();
