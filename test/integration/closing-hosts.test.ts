// Hosts that close before their providers were told to end: the others of the thread go on, and so does
// the next one. Sources: CLEANUP-02, CLEANUP-04; docs/san-provider.md.

import { describe, expect, it } from 'vitest';
import * as minimal from '../../examples/minimal-provider/provider.js';
import { openEnvironment, sanProvider } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import * as fixture from './fixture.js';

/** No upcall is due: no socket is ever made. */
const UPCALLS: Partial<spi.WSPUpcallTableEx> = {};

function start(provider: spi.ServiceProvider): number {
  const upcalls = UPCALLS as spi.WSPUpcallTableEx;
  const data = spi.emptyWspData();
  const table = spi.emptyProcTable();
  return provider.WSPStartupEx(0x0202, data, spi.tcpProtocolInfo(), upcalls, table);
}

describe.each([
  { name: 'the minimal provider', source: minimal },
  { name: 'the reference provider', source: sanProvider },
])('a host with $name', ({ source }) => {
  it.each(fixture.ENGINES)(
    'may close before WSPCleanup, over the %s engine, and the loop turns on without it [CLEANUP-02]',
    async (engine) => {
      const fabric = fixture.newFabric();
      const said: string[] = [];
      const log = (level: string, message: string): void => {
        if (level === 'info') said.push(message);
      };
      const other = await openEnvironment({ fabric, address: fixture.B, engine });
      const agents = other.progress.agentCount;
      for (let round = 0; round < 3; round++) {
        const host = await openEnvironment({ fabric, address: fixture.A, engine, log });
        expect(start(await host.createProvider(source))).toBe(0);
        other.progress.poll();
        await host.close();
        expect(other.progress.agentCount).toBe(agents);
        for (let turns = 0; turns < 1000; turns++) other.progress.poll();
      }
      expect(said).toHaveLength(3);
      expect(said[0]).toContain('before WSPCleanup');
      await other.close();
    },
  );
});
