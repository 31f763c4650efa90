// Processes that share a listening socket: A1 has made it and C asks for connections, hosts of this
// thread; the others are children. It must not assert anything itself but that calls succeed.

import type { Host } from '../../index.js';
import type { ProviderHook } from '../../provider/hooks/index.js';
import * as spi from '../../provider/spi/index.js';
import { A, type Engine, listen, must, newSocket } from './fixture.js';
import { type Outcome, type SharingProcess, Stage } from './sharing.js';

export class Service extends Stage {
  listener = 0;
  port = 0;
  readonly #clients: number[] = [];

  static async open(engine: Engine = 'inline', ...hooks: ProviderHook[]): Promise<Service> {
    const service = new Service(engine);
    await service.openHosts(hooks);
    const { listener, port } = listen(service.a);
    Object.assign(service, { listener, port });
    return service;
  }

  get c(): Host {
    return this.b;
  }

  protected override get shared(): number {
    return this.listener;
  }

  /** C asks for a connection: its socket, once it is there, over whatever carries it. */
  async connect(): Promise<number> {
    const { c } = this;
    const name = spi.sockaddrIn(A, this.port);
    const socket = newSocket(c);
    this.#clients.push(socket);
    await c.winsock.promises.connect(socket, name, name.length);
    return socket;
  }

  /** The same while this thread goes on. */
  connected(): Promise<number> {
    return this.during(this.connect());
  }

  /** What a client sends, with its connection over the SAN. */
  send(client: number, text: string): void {
    const bytes = Buffer.from(text);
    must(this.c.winsock, 'send', this.c.winsock.send(client, bytes, bytes.length, 0));
  }

  acceptAtA(): Promise<number> {
    return this.a.winsock.promises.accept(this.listener, null, null);
  }

  /** Over the SAN, so often until now: here, and in each of the children. */
  async accepted(...children: readonly SharingProcess[]): Promise<number[]> {
    const counts = [this.a.statistics().sanConnections];
    for (const child of children) {
      const { sanConnections } = await child.ask<{ readonly sanConnections: number }>({
        act: 'statistics',
      });
      counts.push(sanConnections);
    }
    return counts;
  }

  /** What becomes of a connection that C asks for and `child` accepts by one blocking call. */
  async acceptedBy(child: SharingProcess): Promise<Outcome> {
    child.child.tell({ act: 'accept' });
    const [, outcome] = await this.during(
      Promise.all([this.connect(), child.child.said<Outcome>()]),
    );
    return outcome;
  }

  async finish(...children: readonly SharingProcess[]): Promise<void> {
    for (const socket of this.#clients) this.c.winsock.closesocket(socket);
    await this.endAll(children);
  }
}
