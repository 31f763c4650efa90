// A NIC that is taken out while everything runs: what becomes of what is up, on its way and asked for, on
// its own side and at its peers.

import { describe, expect, it } from 'vitest';
import { WcStatus } from '../../../provider/nic/verbs.js';
import { expectEvent, FAR, INLINE, NEAR, Pair, registered } from './harness/pair.js';
import type { Arrangement } from './harness/pair.js';

const PORT = 80;
const ARRANGEMENTS: readonly Arrangement[] = [
  INLINE,
  { name: 'worker engines', near: 'worker', far: 'worker', isApart: false },
];

function remove({ near }: Pair): void {
  near.opened.nic.port.command({ type: 'remove' });
}

describe.each(ARRANGEMENTS)('a NIC that is taken out, $name', (arrangement) => {
  it('ends its connections, gives back what was posted, and says that it is gone', async () => {
    const pair = await Pair.open(arrangement);
    const connection = await pair.connect();
    const { block, region } = await registered(pair.near, connection.near, { bytes: 8 });
    const sges = [[block.address, 8, region.localKey]] as const;
    await pair.near.postReceive(connection.near, { id: 7, sges });
    remove(pair);
    expect(await expectEvent(pair.near, 'disconnected')).toMatchObject({
      queuePair: connection.near,
      reason: 'device-removed',
    });
    await expectEvent(pair.near, 'device-removed');
    expect(await pair.near.completion(connection.near)).toMatchObject({
      id: 7,
      status: WcStatus.WR_FLUSH_ERR,
    });
    expect(await expectEvent(pair.far, 'disconnected')).toMatchObject({ reason: 'error' });
    // Twice is once.
    remove(pair);
    await pair.disconnect(connection);
    await pair.close();
  });

  it('withdraws requests that wait at it; its peers learn that it cannot be reached', async () => {
    const pair = await Pair.open(arrangement);
    const { near, far } = pair;
    await near.listen(PORT);
    const asking = await far.queuePair();
    await far.connect(asking, NEAR, PORT);
    const { requestId } = await expectEvent(near, 'connect-request');
    remove(pair);
    expect(await expectEvent(near, 'request-withdrawn')).toMatchObject({ port: PORT, requestId });
    await expectEvent(near, 'device-removed');
    expect(await expectEvent(far, 'connect-failed')).toMatchObject({ reason: 'unreachable' });
    const late = await far.queuePair();
    await far.connect(late, NEAR, PORT);
    expect(await expectEvent(far, 'connect-failed')).toMatchObject({ reason: 'unreachable' });
    const answering = await near.queuePair();
    await near.accept(answering, requestId);
    expect(await expectEvent(near, 'disconnected')).toMatchObject({ queuePair: answering });
    for (const slot of [asking, late]) await far.destroy(slot);
    await near.destroy(answering);
    await pair.settled();
    await pair.close();
  });

  it('fails its own attempts, those under way and those to come', async () => {
    const pair = await Pair.open(arrangement);
    const { near, far } = pair;
    await far.listen(PORT);
    const asking = await near.queuePair();
    await near.connect(asking, FAR, PORT);
    await expectEvent(far, 'connect-request');
    remove(pair);
    expect(await expectEvent(near, 'connect-failed')).toMatchObject({
      queuePair: asking,
      reason: 'unreachable',
    });
    await expectEvent(near, 'device-removed');
    await expectEvent(far, 'request-withdrawn');
    const late = await near.queuePair();
    await near.connect(late, FAR, PORT);
    expect(await expectEvent(near, 'connect-failed')).toMatchObject({ queuePair: late });
    for (const slot of [asking, late]) await near.destroy(slot);
    await far.unlisten(PORT);
    await pair.settled();
    await pair.close();
  });
});
