// A NIC that is taken out under a running host: the SAN half of a listener ends, the TCP/IP half goes on,
// and whoever connects, on either side, gets there by TCP/IP.

import { describe, expect, it } from 'vitest';
import { sanProvider, tcpipProvider } from '../../index.js';
import type { Host } from '../../index.js';
import type { Nic } from '../../provider/nic/nic.js';
import * as spi from '../../provider/spi/index.js';
import * as fixture from './fixture.js';
import { A, B, ENGINES } from './fixture.js';

/** A host whose NIC can be taken out. */
async function openRemovable(
  fabric: string,
  address: string,
  engine: 'inline' | 'worker',
): Promise<{ host: Host; remove: () => void }> {
  let nic: Nic | null = null;
  const host = await fixture.open({
    fabric,
    address,
    engine,
    providers: [
      {
        createProvider: (environment) => {
          nic = environment.nic;
          return sanProvider.createProvider(environment);
        },
      },
      tcpipProvider,
    ],
  });
  return { host, remove: () => nic?.port.command({ type: 'remove' }) };
}

describe.each(ENGINES)('a NIC that is taken out, %s engine', (engine) => {
  it('leaves its listener to TCP/IP, in both directions; what was connected ends with WSAECONNABORTED [ERR-04 EVT-09 CONN-04 COMP-12]', async () => {
    const fabric = fixture.newFabric();
    const a = await fixture.open({ fabric, address: A, engine });
    const { host: b, remove } = await openRemovable(fabric, B, engine);
    const { listener, port } = fixture.listen(b);
    const before = fixture.connect(a, B, port);
    const accepted = fixture.must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
    expect(a.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 0 });
    remove();
    const buffer = Buffer.alloc(1);
    const read = (): number =>
      fixture.must(b.winsock, 'recv', b.winsock.recv(accepted, buffer, 1, 0));
    expect(fixture.errorOf(read)).toBe(spi.WSAECONNABORTED);
    const after = fixture.connect(a, B, port);
    const there = fixture.must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
    const ends = [
      { host: a, socket: after },
      { host: b, socket: there },
    ] as const;
    expect(fixture.carry(ends[0], ends[1], 'by TCP/IP')).toBe('by TCP/IP');
    expect(a.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 1 });
    // And from the host without its NIC.
    const other = fixture.listen(a);
    const back = fixture.connect(b, A, other.port);
    const taken = fixture.must(a.winsock, 'accept', a.winsock.accept(other.listener, null, null));
    expect(fixture.carry({ host: b, socket: back }, { host: a, socket: taken }, 'as well')).toBe(
      'as well',
    );
    expect(b.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 2 });
    for (const socket of [before, after, taken, other.listener]) a.winsock.closesocket(socket);
    for (const socket of [accepted, there, back, listener]) b.winsock.closesocket(socket);
    await fixture.closeClean(a, b);
  });
});
