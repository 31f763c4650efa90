// Three or more processes and one connection: A1 and B are hosts of this thread, the other processes that
// share A1's end are children. It must not assert anything itself but that calls succeed.

import { createHash } from 'node:crypto';
import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import { connect, listen, must } from './fixture.js';
import type { Engine } from './fixture.js';
import { type SharingProcess, Stage } from './sharing.js';

export class Trio extends Stage {
  atA = 0;
  atB = 0;

  /** `connects`: which of the two ends has asked for the connection. */
  static async open(engine: Engine = 'inline', connects: 'a' | 'b' = 'a'): Promise<Trio> {
    const trio = new Trio(engine);
    await trio.openHosts();
    trio.connect(connects);
    return trio;
  }

  /** A connection, in place of the one before. */
  connect(connects: 'a' | 'b' = 'a'): void {
    const [from, to] = connects === 'a' ? [this.a, this.b] : [this.b, this.a];
    const { listener, port } = listen(to);
    const near = connect(from, to.address, port);
    const far = must(to.winsock, 'accept', to.winsock.accept(listener, null, null));
    to.winsock.closesocket(listener);
    [this.atA, this.atB] = connects === 'a' ? [near, far] : [far, near];
  }

  protected override get shared(): number {
    return this.atA;
  }

  /** Sends a pattern, overlapped; large data only ends when it is received. */
  async send(end: 'a' | 'b', bytes: number, seed: number): Promise<void> {
    const host = end === 'a' ? this.a : this.b;
    const socket = end === 'a' ? this.atA : this.atB;
    const data = pattern(bytes, seed);
    const sent = await host.winsock.promises.send(socket, data, data.length, 0);
    if (sent !== bytes) throw new Error(`${sent} of ${bytes} bytes were sent`);
  }

  /** A nonblocking receive, whose result is told as the function tells it. */
  tryReceive(end: 'a' | 'b'): number {
    const { winsock } = end === 'a' ? this.a : this.b;
    const socket = end === 'a' ? this.atA : this.atB;
    winsock.ioctlsocket(socket, spi.FIONBIO, spi.ref(1));
    const count = winsock.recv(socket, new Uint8Array(1), 1, 0);
    const error = winsock.WSAGetLastError();
    winsock.ioctlsocket(socket, spi.FIONBIO, spi.ref(0));
    winsock.WSASetLastError(error);
    return count;
  }

  /** A hard close. */
  reset(end: 'a' | 'b'): void {
    const { winsock } = end === 'a' ? this.a : this.b;
    const socket = end === 'a' ? this.atA : this.atB;
    // struct linger: on, with no time.
    const value = Uint8Array.of(1, 0, 0, 0);
    winsock.setsockopt(socket, spi.SOL_SOCKET, spi.SO_LINGER, value, value.length);
    winsock.closesocket(socket);
  }

  /** The connection ends: everybody closes, the children first. */
  async disconnect(...children: readonly SharingProcess[]): Promise<void> {
    for (const child of children) await child.ask({ act: 'close' });
    this.a.winsock.closesocket(this.atA);
    this.b.winsock.closesocket(this.atB);
  }

  /** The same, and everything ends; nothing is left. */
  async finish(...children: readonly SharingProcess[]): Promise<void> {
    await this.disconnect(...children);
    await this.endAll(children);
  }

  /** Receives so much, overlapped or else by nonblocking calls; the digest of it. */
  async receive(end: 'a' | 'b', bytes: number, how?: 'overlapped'): Promise<string> {
    if (how === 'overlapped') {
      const host = end === 'a' ? this.a : this.b;
      const into = Buffer.alloc(bytes);
      const count = await host.winsock.promises.recv(
        end === 'a' ? this.atA : this.atB,
        into,
        bytes,
        0,
      );
      return digest(into.subarray(0, count));
    }
    const { winsock } = end === 'a' ? this.a : this.b;
    const socket = end === 'a' ? this.atA : this.atB;
    const into = Buffer.alloc(bytes);
    let at = 0;
    winsock.ioctlsocket(socket, spi.FIONBIO, spi.ref(1));
    await this.until(() => {
      const count = winsock.recv(socket, into.subarray(at), bytes - at, 0);
      if (count === 0) throw new Error('the stream ended early');
      if (count > 0) at += count;
      else if (winsock.WSAGetLastError() !== spi.WSAEWOULDBLOCK) {
        throw new spi.WsaError(winsock.WSAGetLastError(), { call: 'recv' });
      }
      return at === bytes;
    }, `${bytes} bytes at ${end}`);
    winsock.ioctlsocket(socket, spi.FIONBIO, spi.ref(0));
    return digest(into);
  }
}

export function pattern(bytes: number, seed: number): Uint8Array {
  const memory = new Uint8Array(bytes);
  new Prng(seed).fill(memory);
  return memory;
}

export function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
