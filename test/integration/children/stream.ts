// The other end of a stream. Sends and receives as its plan says, with overlapped operations in waits
// without a time limit, with blocking calls as an echo, or with the promise twins as an echo.

import type { Host } from '../../../index.js';
import * as spi from '../../../provider/spi/index.js';
import type { StreamOptions } from '../stream.js';
import { BYTES_MAX, StreamEnd } from '../stream.js';
import type { EndpointPlan } from './endpoint.js';
import { closeEndpoint, must, openEndpoint } from './endpoint.js';
import { plan, say } from './talk.js';

export type StreamPlan = EndpointPlan &
  (
    | { readonly style: 'overlapped'; readonly stream: StreamOptions; readonly report?: number }
    | { readonly style: 'blocking' | 'promises' }
  );

const given = plan() as StreamPlan;
const { host, socket } = await openEndpoint(given);
if (given.style === 'overlapped') overlapped(given.stream, given.report ?? Infinity);
else if (given.style === 'blocking') echoBlocking(host);
else await echoWithPromises(host);
await closeEndpoint(host);

function overlapped(options: StreamOptions, report: number): void {
  // JSON has no Infinity.
  const sends = options.sends ?? Infinity;
  const end = new StreamEnd(host, socket, { ...options, sends });
  let next = report;
  while (!end.isDone) {
    end.step(spi.WSA_INFINITE);
    if (end.bytesReceived < next) continue;
    say({ moved: end.bytesReceived });
    next = end.bytesReceived + report;
  }
  end.close();
}

function echoBlocking({ winsock }: Host): void {
  const buffer = Buffer.alloc(BYTES_MAX);
  for (;;) {
    const count = must(host, 'recv', winsock.recv(socket, buffer, buffer.length, 0));
    if (count === 0) break;
    must(host, 'send', winsock.send(socket, buffer, count, 0));
  }
  winsock.closesocket(socket);
}

async function echoWithPromises({ winsock }: Host): Promise<void> {
  const buffer = Buffer.alloc(BYTES_MAX);
  for (;;) {
    const count = await winsock.promises.recv(socket, buffer, buffer.length, 0);
    if (count === 0) break;
    await winsock.promises.send(socket, buffer, count, 0);
  }
  winsock.closesocket(socket);
}
