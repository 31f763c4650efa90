// The property that random applications on two whole hosts, over the reference SAN provider and the
// inline engine, see the model's byte stream. Hosts are opened once per profile and pair of capabilities,
// a connection per run.

import fc from 'fast-check';
import { tcpipProvider } from '../../index.js';
import type { Host, HostOptions } from '../../index.js';
import { createSanProvider } from '../../provider/san/provider.js';
import type { SanEnvironment } from '../../provider/san/provider.js';
import type { ProfileName } from '../../provider/spi/index.js';
import { parametersOf } from '../switch/fakes/stream-property.js';
import { A, B, closeClean, connect, listen, must, newFabric, open } from './fixture.js';
import { plans, runPlan } from './stream-model.js';

export interface Capabilities {
  readonly rdmaRead: { readonly a: boolean; readonly b: boolean };
  readonly completion: 'pending' | 'immediate';
}

export const MASKS: readonly Capabilities[] = [true, false].flatMap((a) =>
  [true, false].map((b) => ({
    rdmaRead: { a, b },
    completion: a === b ? ('pending' as const) : ('immediate' as const),
  })),
);

/** Throws with fast-check's seed and path, which STREAM_SEED and STREAM_PATH hand back. */
export async function checkRealStreams(
  profile: ProfileName,
  capabilities: Capabilities,
  runs: number,
  seed: number,
): Promise<void> {
  const fabric = newFabric();
  const options = (rdmaRead: boolean): Pick<HostOptions, 'fabric' | 'providers' | 'profile'> => {
    const { completion } = capabilities;
    const createProvider = (environment: SanEnvironment): unknown =>
      createSanProvider(environment, { rdmaRead, completion });
    return { fabric, profile, providers: [{ createProvider } as never, tcpipProvider] };
  };
  const engine = 'inline';
  const a = await open({ ...options(capabilities.rdmaRead.a), address: A, engine });
  const b = await open({ ...options(capabilities.rdmaRead.b), address: B, engine });
  const { listener, port } = listen(b);
  fc.assert(
    fc.property(plans, (plan) => {
      const atA = connect(a, B, port);
      const atB = must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
      const ends = {
        a: { winsock: a.winsock, socket: atA },
        b: { winsock: b.winsock, socket: atB },
        turn: () => a.progress(),
      };
      runPlan(ends, plan);
      settle(a, b);
    }),
    parametersOf(runs, seed),
  );
  if (a.statistics().tcpConnections > 0) throw new Error('a run went over TCP/IP');
  b.winsock.closesocket(listener);
  await closeClean(a, b);
}

/** What a run leaves open goes before the next begins. */
function settle(...hosts: readonly Host[]): void {
  for (let idle = 0; idle < 100; ) idle = (hosts[0]?.progress() ?? 0) > 0 ? 0 : idle + 1;
}
