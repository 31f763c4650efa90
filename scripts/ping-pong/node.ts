// Plain Node: node:net and node:dgram, in their event loop.

import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { SOCK_STREAM } from '../../provider/spi/index.js';
import { BYTES, Groups } from './way.js';
import type { Way } from './way.js';

export async function echo(type: number): Promise<void> {
  if (type === SOCK_STREAM) {
    const server = createServer({ noDelay: true }, (socket) => socket.pipe(socket));
    server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
  } else {
    const socket = createSocket('udp4');
    socket.on('message', (data, { port, address }) => {
      socket.send(data, port, address);
    });
    socket.bind(0, '127.0.0.1', () => process.send?.(socket.address().port));
  }
  await once(process, 'message');
  process.send?.('ready');
  await once(process, 'disconnect');
  process.exit(0);
}

export async function open(type: number, port: number, tell: (port: number) => void): Promise<Way> {
  const way = type === SOCK_STREAM ? await openTcp(port) : await openUdp(port);
  tell(0);
  return way;
}

async function openTcp(port: number): Promise<Way> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  const message = new Uint8Array(BYTES);
  return new ChainedWay(
    (arrived) => socket.on('data', arrived),
    () => socket.write(message),
    () => socket.destroy(),
  );
}

async function openUdp(port: number): Promise<Way> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const message = new Uint8Array(BYTES);
  return new ChainedWay(
    (arrived) => socket.on('message', arrived),
    () => {
      socket.send(message, port, '127.0.0.1');
    },
    () => socket.close(),
  );
}

/** Trips one after another in the event loop: each arrival sends the next. */
class ChainedWay implements Way {
  readonly #send: () => void;
  readonly #close: () => void;
  #groups = new Groups();
  #left = 0;
  #done: () => void = () => undefined;

  constructor(listen: (arrived: () => void) => void, send: () => void, close: () => void) {
    this.#send = send;
    this.#close = close;
    listen(() => {
      this.#groups.trip();
      if (--this.#left > 0) this.#send();
      else this.#done();
    });
  }

  async run(trips: number): ReturnType<Way['run']> {
    this.#groups = new Groups();
    this.#left = trips;
    await new Promise<void>((resolve) => {
      this.#done = resolve;
      this.#send();
    });
    return this.#groups.cost();
  }

  close(): void {
    this.#close();
  }
}
