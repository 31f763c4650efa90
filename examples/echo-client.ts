// Sends its words to the echo server and prints what comes back, with blocking calls.
// Run: node dist/examples/echo-client.js [--server 127.77.0.1] [--port 7007] WORDS

import { openHost } from '../index.js';
import { AF_INET, IPPROTO_TCP, sockaddrIn, SOCK_STREAM } from '../provider/spi/index.js';
import { exampleArguments, must, startWinsock } from './helpers.js';

const { fabric, address, server, port, words } = exampleArguments('127.77.0.2');
const text = words.length > 0 ? words.join(' ') : 'Hello over the SAN';
const host = await openHost({ fabric, address });
try {
  const winsock = startWinsock(host);
  const socket = winsock.socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  const name = sockaddrIn(server, port);
  must(winsock, 'connect', winsock.connect(socket, name, name.length));
  const message = new TextEncoder().encode(text);
  must(winsock, 'send', winsock.send(socket, message, message.length, 0));

  const answer = new Uint8Array(message.length);
  for (let at = 0; at < answer.length; ) {
    const rest = answer.subarray(at);
    const length = must(winsock, 'recv', winsock.recv(socket, rest, rest.length, 0));
    if (length === 0) throw new Error('the server closed the connection early');
    at += length;
  }
  console.log(new TextDecoder().decode(answer));
  winsock.closesocket(socket);
} finally {
  await host.close();
}
