// A listening socket that processes share, above the whole stack: whoever accepts has the SAN's requests.
// A1 has made it and C asks for connections, hosts of this thread; the others are children.

import { connect as connectTcp } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Host } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { Child } from './child.js';
import type { ShareTask } from './children/share.js';
import { A, atEnd, B, closeClean, Deadline, listen, must, newFabric } from './fixture.js';
import { newSocket, open } from './fixture.js';
import type { Outcome } from './sharing.js';

const DONE = { result: 0, error: 0 };

class Service {
  readonly #fabric: string;
  readonly a: Host;
  readonly c: Host;
  readonly listener: number;
  readonly port: number;
  readonly #clients: number[] = [];
  #children = 0;

  private constructor(fabric: string, a: Host, c: Host) {
    this.#fabric = fabric;
    this.a = a;
    this.c = c;
    const { listener, port } = listen(a);
    this.listener = listener;
    this.port = port;
  }

  static async open(): Promise<Service> {
    const fabric = newFabric();
    const a = await open({ fabric, address: A, engine: 'inline' });
    return new Service(fabric, a, await open({ fabric, address: B, engine: 'inline' }));
  }

  /** Another process that has a duplicate of the listener. */
  async sharing(): Promise<Child> {
    const address = `127.77.0.${10 + ++this.#children}`;
    const child = new Child('share', { fabric: this.#fabric, address, engine: 'inline' });
    await this.during(child.said());
    const info = spi.emptyProtocolInfo();
    const { winsock } = this.a;
    const result = winsock.WSADuplicateSocket(this.listener, child.pid, info);
    must(winsock, 'WSADuplicateSocket', result);
    expect(await this.ask(child, { act: 'take', info })).toEqual(DONE);
    return child;
  }

  /** Everything of this thread goes on meanwhile. */
  async during<T>(waited: Promise<T>): Promise<T> {
    let isOver = false;
    const note = (): void => {
      isOver = true;
    };
    waited.then(note, note);
    const deadline = new Deadline('a child');
    while (!isOver) {
      deadline.check();
      this.a.progress();
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
    }
    return waited;
  }

  ask<T = Outcome>(child: Child, task: ShareTask): Promise<T> {
    child.tell(task);
    return this.during(child.said<T>());
  }

  /** C asks for a connection, which is over the SAN. */
  async connect(): Promise<void> {
    const { c } = this;
    const name = spi.sockaddrIn(A, this.port);
    const before = c.statistics().sanConnections;
    const socket = newSocket(c);
    this.#clients.push(socket);
    await c.winsock.promises.connect(socket, name, name.length);
    expect(c.statistics()).toMatchObject({ sanConnections: before + 1, tcpConnections: 0 });
  }

  async acceptAtA(): Promise<void> {
    await this.a.winsock.promises.accept(this.listener, null, null);
  }

  /** Over the SAN, in this process, so often until now. */
  async expectAccepted(at: { readonly a: number; readonly children: readonly [Child, number][] }) {
    expect(this.a.statistics().sanConnections).toBe(at.a);
    for (const [child, sanConnections] of at.children) {
      expect(await this.ask(child, { act: 'statistics' })).toMatchObject({ sanConnections });
    }
  }

  async turns(): Promise<void> {
    for (let turn = 0; turn < 200; turn++) {
      this.a.progress();
      if (turn % 20 === 0) await new Promise((resolve) => void setImmediate(resolve));
    }
  }

  async finish(...children: readonly Child[]): Promise<void> {
    for (const socket of this.#clients) this.c.winsock.closesocket(socket);
    for (const child of children) {
      await this.ask(child, { act: 'end' });
      await this.during(child.said());
      await this.during(child.ended);
    }
    const [fabric, address] = [this.#fabric, '127.77.0.99'];
    const sweeper = await open({ fabric, address, engine: 'inline' });
    await closeClean(this.a, this.c, sweeper);
  }
}

describe('a listener with companions that processes share', () => {
  it('has its requests accepted by whichever process accepts, and moves no sooner; TCP/IP reaches both [DUP-04 DUP-05 DUP-07 DUP-14]', async () => {
    const service = await Service.open();
    const child = await service.sharing();
    await service.during(Promise.all([service.connect(), service.acceptAtA()]));
    await service.expectAccepted({ a: 1, children: [[child, 0]] });

    // A request that waits already goes along with the companion.
    const waiting = service.connect();
    await service.turns();
    child.tell({ act: 'accept' });
    await service.during(Promise.all([waiting, child.said()]));
    await service.expectAccepted({ a: 1, children: [[child, 1]] });

    // And back.
    await service.during(Promise.all([service.acceptAtA(), service.connect()]));
    await service.expectAccepted({ a: 2, children: [[child, 1]] });

    // Nothing here has a turn, so no control moves: the kernel's part needs none.
    child.tell({ act: 'accept' });
    const tcp = connectTcp(service.port, A);
    atEnd(() => void tcp.destroy());
    expect(await child.said()).toEqual(DONE);
    await service.finish(child);
  });

  it('stays while an accept is in progress, and goes to the next then, in order [DUP-03 DUP-07 DUP-14]', async () => {
    const service = await Service.open();
    const child = await service.sharing();
    const accepting = service.acceptAtA();
    expect(await service.ask(child, { act: 'acceptLater' })).toEqual({ begun: true });
    await service.turns();
    const next = child.said();
    await service.during(Promise.all([service.connect(), accepting]));
    expect(service.a.statistics().sanConnections).toBe(1);
    // Begun after the other process has asked.
    const last = service.acceptAtA();
    await service.during(Promise.all([service.connect(), next]));
    await service.expectAccepted({ a: 1, children: [[child, 1]] });
    await service.during(Promise.all([service.connect(), last]));
    await service.expectAccepted({ a: 2, children: [[child, 1]] });
    await service.finish(child);
  });

  it('goes to the others when its process closes it, and is made anew when that process dies [DUP-07 DUP-14 W3.7]', async () => {
    const service = await Service.open();
    const [child, other] = [await service.sharing(), await service.sharing()];
    // It asks without waiting, as an application with events does.
    expect(await service.ask(child, { act: 'tryAccept' })).toEqual({
      result: spi.INVALID_SOCKET,
      error: spi.WSAEWOULDBLOCK,
    });
    const first = service.connect();
    await service.during(Promise.all([first, service.ask(child, { act: 'accept' })]));
    await service.ask(child, { act: 'close' });
    await service.during(Promise.all([service.connect(), service.acceptAtA()]));
    await service.expectAccepted({ a: 1, children: [[child, 1]] });

    other.tell({ act: 'accept' });
    await service.during(Promise.all([service.connect(), other.said()]));
    other.kill('SIGKILL');
    await service.during(other.ended);
    await service.turns();
    await service.during(Promise.all([service.connect(), service.acceptAtA()]));
    await service.expectAccepted({ a: 2, children: [[child, 1]] });
    await service.finish(child);
  });
});
