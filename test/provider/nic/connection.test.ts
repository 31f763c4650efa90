// Connection management of the NIC: requests, answers, private data, ends, and what is left of them.

import { closeSync, ftruncateSync, openSync, unlinkSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { seconds, VirtualClock } from '../../../runtime/clock.js';
import { native } from '../../../native/load.js';
import { LocalEnd, SEGMENT_BYTES } from './harness/end.js';
import {
  ARRANGEMENTS,
  completions,
  describePair,
  expectEvent,
  FAR,
  INLINE,
  Machine,
  NEAR,
  Pair,
  registered,
} from './harness/pair.js';
import { WcStatus } from '../../../provider/nic/verbs.js';

const NOBODY = 0x7f4d0063;
const PORT = 80;

function data(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Buffer.from(text));
}

describePair('connecting', ARRANGEMENTS, (pair) => {
  it('carries private data both ways, up to 48 bytes', async () => {
    const { near, far } = pair();
    const longest = data('x'.repeat(48));
    await far.listen(PORT);
    const slot = await near.queuePair();
    await near.connect(slot, FAR, PORT, longest);
    const request = await expectEvent(far, 'connect-request');
    expect(request).toMatchObject({ port: PORT, remoteAddress: NEAR, remotePort: 4000 + slot });
    expect(request.privateData).toEqual(longest);
    const farSlot = await far.queuePair();
    await far.accept(farSlot, request.requestId, data('welcome'));
    expect((await expectEvent(far, 'established')).queuePair).toBe(farSlot);
    const established = await expectEvent(near, 'established');
    expect([established.queuePair, established.privateData]).toEqual([slot, data('welcome')]);
    await far.unlisten(PORT);
    await pair().disconnect({ near: slot, far: farSlot });
  });

  it('fails with no-listener where nobody listens', async () => {
    const { near } = pair();
    const slot = await near.queuePair();
    await near.connect(slot, FAR, PORT);
    expect(await expectEvent(near, 'connect-failed')).toEqual({
      type: 'connect-failed',
      queuePair: slot,
      reason: 'no-listener',
    });
    await near.destroy(slot);
    await pair().settled();
  });

  it('fails with rejected when the listener says no, and when it stops listening', async () => {
    const { near, far } = pair();
    for (const refuse of ['reject', 'unlisten'] as const) {
      await far.listen(PORT);
      const slot = await near.queuePair();
      await near.connect(slot, FAR, PORT);
      const { requestId } = await expectEvent(far, 'connect-request');
      if (refuse === 'reject') await far.reject(requestId);
      await far.unlisten(PORT);
      expect((await expectEvent(near, 'connect-failed')).reason).toBe('rejected');
      await near.destroy(slot);
      await pair().settled();
    }
  });

  it('fails with unreachable where no host is', async () => {
    const { near } = pair();
    const slot = await near.queuePair();
    await near.connect(slot, NOBODY, PORT);
    expect((await expectEvent(near, 'connect-failed')).reason).toBe('unreachable');
    await near.destroy(slot);
    await pair().settled();
  });

  it('tells the listener that a request was withdrawn; accepting it afterwards is a lost connection', async () => {
    const { near, far } = pair();
    await far.listen(PORT);
    const slot = await near.queuePair();
    await near.connect(slot, FAR, PORT);
    const { requestId } = await expectEvent(far, 'connect-request');
    await near.destroy(slot);
    expect(await expectEvent(far, 'request-withdrawn')).toMatchObject({ port: PORT, requestId });
    const farSlot = await far.queuePair();
    await far.accept(farSlot, requestId);
    expect((await expectEvent(far, 'disconnected')).reason).toBe('peer-disconnected');
    await far.unlisten(PORT);
    await far.destroy(farSlot);
    await pair().settled();
  });

  it('survives that a request is given up and accepted at the same time', async () => {
    const { near, far } = pair();
    await far.listen(PORT);
    for (let round = 0; round < 10; round++) {
      const slot = await near.queuePair();
      await near.connect(slot, FAR, PORT);
      const { requestId } = await expectEvent(far, 'connect-request');
      const farSlot = await far.queuePair();
      await Promise.all([far.accept(farSlot, requestId), near.destroy(slot)]);
      for (let event = await far.event(); event.type !== 'disconnected'; event = await far.event());
      await far.destroy(farSlot);
      await pair().settled();
    }
    await far.unlisten(PORT);
  });

  it('reports the end of a connection to the other side and flushes what is outstanding there', async () => {
    const { near, far } = pair();
    const connection = await pair().connect();
    const { block, region } = await registered(far, connection.far, { bytes: 4096 });
    for (const id of [1, 2]) {
      await far.postReceive(connection.far, { id, sges: [[region.address, 64, region.localKey]] });
    }
    await near.destroy(connection.near);
    expect((await expectEvent(far, 'disconnected')).reason).toBe('peer-disconnected');
    expect(await completions(far, connection.far, 2)).toMatchObject([
      { id: 1, status: WcStatus.WR_FLUSH_ERR, byteLength: 0 },
      { id: 2, status: WcStatus.WR_FLUSH_ERR, byteLength: 0 },
    ]);
    await far.postReceive(connection.far, { id: 3, sges: [[region.address, 64, region.localKey]] });
    await far.postSend(connection.far, { id: 4, sges: [[region.address, 64, region.localKey]] });
    const late = await completions(far, connection.far, 2);
    expect(late.map((one) => one.id).sort()).toEqual([3, 4]);
    expect(late.map((one) => one.status)).toEqual([WcStatus.WR_FLUSH_ERR, WcStatus.WR_FLUSH_ERR]);
    await far.destroy(connection.far);
    await far.release(block.id);
    await pair().settled();
  });

  it('ends well when both sides destroy at once', async () => {
    const { near, far } = pair();
    for (let round = 0; round < 5; round++) {
      const connection = await pair().connect();
      await Promise.all([near.destroy(connection.near), far.destroy(connection.far)]);
      await pair().settled();
    }
  });
});

describePair('many connections', [INLINE], (pair) => {
  it('two hundred, one after the other, use the same slots and memory again', async () => {
    const { near } = pair();
    const { memory, nic } = near.opened;
    const committed: number[] = [];
    const slots = new Set<number>();
    for (let round = 0; round < 200; round++) {
      const connection = await pair().connect({ completionDepth: 64 });
      slots.add(connection.near);
      await pair().disconnect(connection);
      const probe = memory.VirtualAlloc(4096);
      committed.push(probe === null ? -1 : nic.addressOf(probe));
      if (probe !== null) memory.VirtualFree(probe);
    }
    expect(new Set(committed.slice(10)).size).toBe(1);
    expect(slots.size).toBeLessThan(4);
  });

  it('a host connects with itself', async () => {
    const { near } = pair();
    await near.listen(PORT);
    const slot = await near.queuePair();
    await near.connect(slot, NEAR, PORT);
    const { requestId } = await expectEvent(near, 'connect-request');
    const other = await near.queuePair();
    await near.accept(other, requestId);
    expect([(await near.event()).type, (await near.event()).type]).toEqual([
      'established',
      'established',
    ]);
    await near.unlisten(PORT);
    await near.destroy(slot);
    await near.destroy(other);
    await pair().settled();
  });

  it('a listener listens once per port', async () => {
    const { near } = pair();
    expect([await near.listen(PORT), await near.listen(PORT), await near.listen(PORT + 1)]).toEqual(
      [true, false, true],
    );
    await near.unlisten(PORT);
    await near.unlisten(PORT + 1);
  });
});

describe('a host whose arena is full', () => {
  it('refuses whom it cannot map, who goes another way at once', async () => {
    const machine = new Machine();
    // The time stands still: nothing here is owed to a time-out.
    const clock = new VirtualClock(1);
    const near = await LocalEnd.open(machine.loop, machine.options(NEAR), clock);
    const far = await LocalEnd.open(machine.loop, machine.options(FAR), clock);
    await far.listen(PORT);
    const { arena } = machine.loop;
    const filler = openSync(`${machine.base}/filler`, 'w+', 0o600);
    ftruncateSync(filler, SEGMENT_BYTES);
    const windows: number[] = [];
    expect(() => {
      for (;;) windows.push(arena.map(filler, SEGMENT_BYTES));
    }).toThrow('no window');
    // One of the two can map the other.
    arena.unmap(windows.pop() ?? 0);
    const slot = await near.queuePair();
    await near.connect(slot, FAR, PORT);
    expect((await expectEvent(near, 'connect-failed')).reason).toBe('unreachable');
    for (const window of windows) arena.unmap(window);
    closeSync(filler);
    unlinkSync(`${machine.base}/filler`);
    await near.destroy(slot);
    await near.settled();
    await near.close();
    await far.close();
    expect(machine.files()).toEqual([]);
    machine.close();
  });
});

describe('connection timers', () => {
  it('an unanswered request times out after five seconds, is withdrawn, and its answer comes too late', async () => {
    const machine = new Machine();
    const clock = new VirtualClock(1);
    const near = await LocalEnd.open(machine.loop, machine.options(NEAR), clock);
    const far = await machine.open(FAR);
    await far.listen(PORT);
    const slot = await near.queuePair();
    await near.connect(slot, FAR, PORT);
    const { requestId } = await expectEvent(far, 'connect-request');
    clock.advance(seconds(4.9));
    for (let turn = 0; turn < 1000; turn++) machine.loop.turn();
    expect(near.opened.nic.pollEvent()).toBeNull();
    clock.advance(seconds(0.1));
    expect((await expectEvent(near, 'connect-failed')).reason).toBe('timeout');
    expect(await expectEvent(far, 'request-withdrawn')).toMatchObject({ requestId });
    const farSlot = await far.queuePair();
    await far.accept(farSlot, requestId);
    expect((await expectEvent(far, 'disconnected')).reason).toBe('peer-disconnected');
    await near.destroy(slot);
    await far.destroy(farSlot);
    await Promise.all([near.settled(), far.settled()]);
    await near.close();
    await far.close();
    expect(machine.files()).toEqual([]);
    machine.close();
  });

  it('memory that a silent peer may still write is used again only after the release timeout', async () => {
    const machine = new Machine();
    const clock = new VirtualClock(1);
    const near = await LocalEnd.open(machine.loop, machine.options(NEAR), clock);
    const far = await machine.open(FAR);
    await far.listen(PORT);
    const slot = await near.queuePair();
    await near.connect(slot, FAR, PORT);
    const { requestId } = await expectEvent(far, 'connect-request');
    await far.accept(await far.queuePair(), requestId);
    await expectEvent(near, 'established');
    // From here on only the near side runs.
    const turnNear = (): void => {
      for (let turn = 0; turn < 1000; turn++) near.opened.nic.progress();
    };
    await near.destroy(slot);
    turnNear();
    expect(near.opened.nic.pollEvent()).toMatchObject({ type: 'destroyed' });
    clock.advance(seconds(3.9));
    turnNear();
    expect(near.opened.nic.queuePairCount).toBe(1);
    clock.advance(seconds(0.1));
    turnNear();
    expect(near.opened.nic.queuePairCount).toBe(0);
    await near.close();
    await far.close();
    machine.close();
  });

  it('a request given up keeps its ring until the listener has let go of it', async () => {
    const machine = new Machine();
    const near = await machine.open(NEAR);
    const far = await machine.open(FAR);
    await far.listen(PORT);
    const slot = await near.queuePair();
    await near.connect(slot, FAR, PORT);
    const { requestId } = await expectEvent(far, 'connect-request');
    // The answer is on its way, and the far engine may write into the ring of the near one.
    const farSlot = await far.queuePair();
    await far.accept(farSlot, requestId);
    await near.destroy(slot);
    near.opened.nic.progress();
    expect(near.opened.nic.queuePairCount).toBe(1);
    await expectEvent(far, 'established');
    await expectEvent(far, 'disconnected');
    await far.destroy(farSlot);
    await Promise.all([near.settled(), far.settled()]);
    await near.close();
    await far.close();
    machine.close();
  });
});

describe('opening and closing a NIC', () => {
  it('a second host at one address is refused, and leaves the first as it was', async () => {
    const machine = new Machine();
    const near = await machine.open(NEAR);
    await expect(machine.open(NEAR)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    expect(machine.files().length).toBeGreaterThan(0);
    await near.close();
    await near.close();
    expect(machine.files()).toEqual([]);
    machine.close();
  });

  it('closing with connections, registrations and blocks gives everything back', async () => {
    const pinnedBefore = native.pinnedBytes();
    const pair = await Pair.open();
    const connection = await pair.connect();
    await registered(pair.near, connection.near, { bytes: 4096 });
    await registered(pair.near, connection.near, { storage: 'process', bytes: 4096 });
    await pair.near.close();
    expect((await expectEvent(pair.far, 'disconnected')).reason).toBe('peer-disconnected');
    await pair.far.destroy(connection.far);
    await pair.far.settled();
    await pair.close();
    expect(native.pinnedBytes()).toBe(pinnedBefore);
  });
});
