// Two ends over the real NIC, in one process or in two, with connections made between them; and the
// proof that nothing is left when they end.

import { existsSync } from 'node:fs';
import { expect } from 'vitest';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import * as spi from '../../../provider/spi/index.js';
import { startEnd } from '../nic/harness/pair.js';
import type { RealEndOptions } from './real-end.js';
import { RealEnd } from './real-end.js';

const NEAR = '127.77.0.1';
export const FAR = '127.77.0.2';
export const NOBODY = '127.77.0.9';

export type Arrangement = 'inline engines' | 'worker engines' | 'two processes';

/** The operations of an end, wherever it is. */
export type End = Pick<RealEnd, keyof RealEnd>;

/** Descriptors of the two ends of one connection. */
export interface Connection {
  readonly near: number;
  readonly far: number;
}

export interface FarEnd {
  readonly end: End;
  /** Kills its process; null when it has none of its own. */
  readonly kill: (() => Promise<void>) | null;
  readonly ended: () => Promise<unknown>;
}

let fabrics = 0;

export class RealPair {
  readonly profile: spi.Profile;
  readonly near: End;
  readonly far: End;
  readonly #far: FarEnd;
  readonly #fabric: string;
  #nextPort = 5000;

  private constructor(profile: spi.Profile, fabric: string, near: End, far: FarEnd) {
    this.profile = profile;
    this.near = near;
    this.far = far.end;
    this.#far = far;
    this.#fabric = fabric;
  }

  static async open(arrangement: Arrangement, profile: spi.Profile): Promise<RealPair> {
    const fabric = `san-${process.pid}-${++fabrics}`;
    const engine = arrangement === 'worker engines' ? 'worker' : 'inline';
    const options = { fabric, engine, profile: profile.name } as const;
    const near = await RealEnd.open({ ...options, address: NEAR });
    const farOptions = { ...options, address: FAR };
    const far =
      arrangement === 'two processes' ? await startChild(farOptions) : await openHere(farOptions);
    return new RealPair(profile, fabric, near, far);
  }

  /** A port that no connection of this pair has had. */
  port(): number {
    return this.#nextPort++;
  }

  /** A new connection, whose listener is closed already. */
  async connect(listenAt = FAR): Promise<Connection> {
    const port = this.port();
    const listener = await this.far.listen(port, listenAt, 5);
    const near = await this.near.connect(this.port(), FAR, port);
    const far = await this.far.accept(listener, spi.CF_ACCEPT);
    expect(await this.near.connected(near)).toBe(0);
    expect(await this.far.close(listener)).toBe(0);
    return { near, far };
  }

  async disconnect({ near, far }: Connection): Promise<void> {
    await this.near.close(near);
    await this.far.close(far);
  }

  /** Ends the far process without a word. */
  async killFar(): Promise<void> {
    expect(this.#far.kill).not.toBeNull();
    await this.#far.kill?.();
  }

  /** Both ends at once: each lets go of its memory when the other has. */
  async close(isFarDead = false): Promise<void> {
    await Promise.all(isFarDead ? [this.near.end()] : [this.near.end(), this.far.end()]);
    await this.#far.ended();
    expect(existsSync(new FabricDirectory(this.#fabric).path)).toBe(false);
  }
}

export async function openHere(options: RealEndOptions): Promise<FarEnd> {
  return { end: await RealEnd.open(options), kill: null, ended: () => Promise.resolve() };
}

export async function startChild(options: RealEndOptions): Promise<FarEnd> {
  const program = new URL('./children/real-end.ts', import.meta.url);
  const far = await startEnd<End>(program, options);
  return { end: far.end, kill: () => far.kill(), ended: () => far.dispose() };
}
