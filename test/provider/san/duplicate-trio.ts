// Three hosts of a fabric: the old and the new end of a connection, and its peer; in one process, or
// each in its own.

import { existsSync, readdirSync } from 'node:fs';
import { expect } from 'vitest';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import * as spi from '../../../provider/spi/index.js';
import type { FarEnd, End } from './real-pair.js';
import { openHere, startChild } from './real-pair.js';

export type DuplicateArrangement =
  | 'inline engines'
  | 'worker engines'
  | 'three processes'
  /** This one in a process of its own, to be killed. */
  | Name;

/** Every engine, one process and several; every profile, which real.test.ts crosses with all of them. */
export const SUITES: readonly (readonly [DuplicateArrangement, spi.ProfileName])[] = [
  ['inline engines', 'documented'],
  ['inline engines', 'hostile'],
  ['worker engines', 'documented'],
  ['worker engines', 'real-switch'],
  ['three processes', 'documented'],
];
const MESSAGE_BYTES = 64;
export const ADDRESSES = { old: '127.77.0.1', next: '127.77.0.2', peer: '127.77.0.3' };
type Name = keyof typeof ADDRESSES;
const NAMES = Object.keys(ADDRESSES) as Name[];

let fabrics = 0;

export class Trio {
  readonly #ends: Readonly<Record<Name, FarEnd>>;
  readonly #dead = new Set<Name>();
  #nextPort = 6000;

  private constructor(
    readonly fabric: string,
    ends: Readonly<Record<Name, FarEnd>>,
  ) {
    this.#ends = ends;
  }

  static async open(
    arrangement: DuplicateArrangement,
    profile: spi.ProfileName = 'documented',
  ): Promise<Trio> {
    const fabric = `dup-${process.pid}-${++fabrics}`;
    const engine = arrangement === 'worker engines' ? 'worker' : 'inline';
    const open = (name: Name): Promise<FarEnd> => {
      const start =
        arrangement === 'three processes' || arrangement === name ? startChild : openHere;
      return start({ fabric, engine, profile, address: ADDRESSES[name] });
    };
    const [old, next, peer] = await Promise.all([open('old'), open('next'), open('peer')]);
    return new Trio(fabric, { old, next, peer });
  }

  get old(): End {
    return this.#ends.old.end;
  }

  get next(): End {
    return this.#ends.next.end;
  }

  get peer(): End {
    return this.#ends.peer.end;
  }

  /** Connects the old end with the peer; `by` says who asks. */
  readonly connect = async (
    by: 'near' | 'far' = 'near',
  ): Promise<{ near: number; far: number }> => {
    const { old, peer } = this;
    const [client, server] = by === 'near' ? [old, peer] : [peer, old];
    const serverIp = by === 'near' ? ADDRESSES.peer : ADDRESSES.old;
    const port = this.#nextPort++;
    const listener = await server.listen(port, serverIp, 5);
    const asking = await client.connect(this.#nextPort++, serverIp, port);
    const asked = await server.accept(listener, spi.CF_ACCEPT);
    expect(await client.connected(asking)).toBe(0);
    await server.close(listener);
    return by === 'near' ? { near: asking, far: asked } : { near: asked, far: asking };
  };

  /** A receive for one message, in memory of its own; the operation. */
  readonly receiveAt = async (end: End, s: number, isTagged: boolean): Promise<number> => {
    const block = await end.allocate(MESSAGE_BYTES, 'ordinary', 0);
    await end.register(s, block, spi.MEM_WRITE);
    return end.receive(s, { block, from: 0, to: MESSAGE_BYTES }, isTagged);
  };

  /** Sends one message; the operation. */
  readonly message = async (end: End, s: number, value: number): Promise<number> => {
    const block = await end.allocate(MESSAGE_BYTES, 'segment', value);
    await end.register(s, block, spi.MEM_READ);
    return end.send(s, { block, from: 0, to: MESSAGE_BYTES }, true);
  };

  /** What is left for others on the fabric. */
  readonly files = (): string[] => {
    const { path } = new FabricDirectory(this.fabric);
    return existsSync(path) ? readdirSync(path).filter((one) => one.endsWith('.handover')) : [];
  };

  /** Whether the file with this number is there. */
  readonly isLeft = (name: number): boolean => {
    const number = name.toString(16).padStart(8, '0');
    return this.files().some((file) => file.startsWith(`${number}.`));
  };

  /** Ends the process of one end without a word. */
  async kill(name: Name): Promise<void> {
    this.#dead.add(name);
    await this.#ends[name].kill?.();
  }

  async close(): Promise<void> {
    const alive = NAMES.filter((name) => !this.#dead.has(name));
    await Promise.all(alive.map((name) => this.#ends[name].end.end()));
    await Promise.all(NAMES.map((name) => this.#ends[name].ended()));
    expect(existsSync(new FabricDirectory(this.fabric).path)).toBe(false);
  }
}
