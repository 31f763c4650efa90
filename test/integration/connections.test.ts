// Many connections leave nothing behind: opened, used and closed one after the other, and at once. What
// they cost is connections.long.test.ts.

import { expect, it } from 'vitest';
import { descriptorCount } from './descriptors.js';
import { A, B, closeClean, listen, newFabric, open } from './fixture.js';
import type { Place } from './many-connections.js';
import { churn, closeBoth, connectOne, echo } from './many-connections.js';

async function openPlace(): Promise<Place> {
  const fabric = newFabric();
  const a = await open({ fabric, address: A, engine: 'inline' });
  const b = await open({ fabric, address: B, engine: 'inline' });
  const { listener, port } = listen(b);
  return { a, b, listener, port };
}

async function closePlace(place: Place): Promise<void> {
  place.b.winsock.closesocket(place.listener);
  await closeClean(place.a, place.b);
}

it('connections one after the other use the same memory and handles again [CLOSE-03 CLOSE-05 MEM-08 XFER-04]', async () => {
  const place = await openPlace();
  churn(place, 5);
  const before = [place.a.usage(), place.b.usage()];
  const descriptors = descriptorCount();
  churn(place, 150);
  expect([place.a.usage(), place.b.usage()]).toEqual(before);
  expect(descriptorCount()).toBe(descriptors);
  expect(place.a.statistics()).toMatchObject({ sanConnections: 155, tcpConnections: 0 });
  await closePlace(place);
});

it('a hundred connections at once each carry their own data, and all go [ARCH-07 XFER-15 CLOSE-05]', async () => {
  const place = await openPlace();
  const all = Array.from({ length: 100 }, () => connectOne(place));
  for (let round = 0; round < 3; round++) for (const connected of all) echo(place, connected);
  expect(place.a.statistics().messageBytesSent).toBe(100 * 3 * 64);
  for (const connected of all) closeBoth(place, connected);
  await closePlace(place);
});
