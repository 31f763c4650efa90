// Queue pairs and completion queues as the verbs describe them: depths, receiver not ready, silence,
// flush order, a full completion queue, completion events and their moderation. Times are virtual.

import { describe, expect, it } from 'vitest';
import { microseconds, milliseconds, seconds } from '../../../runtime/clock.js';
import type { CompletionNotification, NicEvent } from '../../../provider/nic/device.js';
import { STATE_PUSHING } from '../../../provider/nic/layout.js';
import { DIRECT_BYTES_MAX } from '../../../provider/nic/limits.js';
import { Opcode, PostResult, SendFlag, WcStatus } from '../../../provider/nic/verbs.js';
import type { Request } from './harness/end.js';
import { expectEvent, INLINE, Pair, registered } from './harness/pair.js';
import type { Side } from './harness/virtual.js';
import { VirtualPair } from './harness/virtual.js';

const SHORT = 16;
const LONG = 4096;

function request(side: Side, length: number, fields: Partial<Request> = {}): Request {
  return { sges: [[side.region.address, length, side.region.localKey]], ...fields };
}

function statuses(found: readonly { id: number; status: number }[]): (readonly [number, number])[] {
  return found.map(({ id, status }) => [id, status] as const);
}

async function eventsNow(pair: VirtualPair, side: Side): Promise<NicEvent[]> {
  pair.quiesce();
  const events: NicEvent[] = [];
  const { nic } = side.end.opened;
  for (let event = nic.pollEvent(); event !== null; event = nic.pollEvent()) events.push(event);
  return Promise.resolve(events);
}

describe('queue depths', () => {
  it('a request beyond the depth is refused, completes never, and fits again after a completion', async () => {
    const pair = await VirtualPair.open({ near: { sendDepth: 4, receiveDepth: 2 } });
    const { near, far } = pair;
    // Unreceived, so that they stay outstanding.
    for (let id = 0; id < 4; id++)
      expect(await near.end.postSend(near.slot, request(near, LONG, { id }))).toBe(PostResult.OK);
    for (const length of [SHORT, LONG]) {
      const refused = await near.end.postSend(near.slot, request(near, length, { id: 9 }));
      expect(refused).toBe(PostResult.QUEUE_FULL);
    }
    const receive = (id: number): Promise<number> =>
      near.end.postReceive(near.slot, request(near, SHORT, { id }));
    expect([await receive(1), await receive(2), await receive(3)]).toEqual([
      PostResult.OK,
      PostResult.OK,
      PostResult.QUEUE_FULL,
    ]);
    for (let id = 0; id < 4; id++) await far.end.postReceive(far.slot, request(far, LONG, { id }));
    expect(statuses(await pair.completions(near, 4))).toEqual([0, 1, 2, 3].map((id) => [id, 0]));
    expect(await near.end.postSend(near.slot, request(near, SHORT, { id: 5 }))).toBe(PostResult.OK);
    await pair.close();
  });

  it('too many elements and too long a message are refused', async () => {
    const pair = await VirtualPair.open();
    const { near } = pair;
    const { address, localKey } = near.region;
    const element = [address, 2 ** 30, localKey] as const;
    expect(await near.end.postSend(near.slot, { sges: [element, element] })).toBe(
      PostResult.TOO_LONG,
    );
    expect(await near.end.postReceive(near.slot, { sges: [element, element] })).toBe(
      PostResult.TOO_LONG,
    );
    await pair.close();
  });
});

describe('receiver not ready', () => {
  it.each([SHORT, LONG])(
    'by default %i bytes wait for ever, and go as soon as there is a receive',
    async (length) => {
      const pair = await VirtualPair.open();
      const { near, far } = pair;
      await near.end.postSend(near.slot, request(near, length, { id: 1 }));
      pair.quiesce();
      expect(pair.nextDeadline()).toBe(Infinity);
      pair.clock.advance(seconds(3600));
      pair.quiesce();
      const start = pair.clock.now();
      await far.end.postReceive(far.slot, request(far, LONG, { id: 2 }));
      expect(await pair.completions(far, 1)).toMatchObject([{ id: 2, status: 0, at: start }]);
      expect(await pair.completions(near, 1)).toMatchObject([{ id: 1, status: 0, at: start }]);
      await pair.close();
    },
  );

  it.each([SHORT, LONG])(
    '%i bytes are tried again at every tick of the RNR timer, then fail with RNR_RETRY_EXC_ERR',
    async (length) => {
      for (const rnrRetry of [0, 1, 6]) {
        const minRnrTimer = microseconds(100);
        const pair = await VirtualPair.open({ far: { rnrRetry, minRnrTimer } });
        const { near, far } = pair;
        const start = pair.clock.now();
        for (const id of [1, 2]) await near.end.postSend(near.slot, request(near, length, { id }));
        const found = await pair.completions(near, 2);
        expect(statuses(found)).toEqual([
          [1, WcStatus.RNR_RETRY_EXC_ERR],
          [2, WcStatus.WR_FLUSH_ERR],
        ]);
        expect((found[0]?.at ?? 0) - start).toBe(rnrRetry * minRnrTimer);
        for (const side of [near, far]) {
          expect(await eventsNow(pair, side)).toMatchObject([
            { type: 'disconnected', reason: 'error' },
          ]);
        }
        await pair.close();
      }
    },
  );

  it('a receive that comes late is found at the next tick, and the next message has all its tries', async () => {
    const minRnrTimer = microseconds(100);
    const pair = await VirtualPair.open({ far: { rnrRetry: 2, minRnrTimer } });
    const { near, far } = pair;
    for (let round = 0; round < 3; round++) {
      await near.end.postSend(near.slot, request(near, SHORT));
      const start = pair.clock.now();
      pair.quiesce();
      pair.advance();
      pair.quiesce();
      await far.end.postReceive(far.slot, request(far, SHORT));
      const [received] = await pair.completions(far, 1);
      expect([received?.status, (received?.at ?? 0) - start]).toEqual([0, 2 * minRnrTimer]);
      expect(statuses(await pair.completions(near, 1))).toEqual([[0, 0]]);
    }
    await pair.close();
  });
});

describe('a silent peer', () => {
  it('fails the oldest request with RETRY_EXC_ERR after the time-out and its retries, and the rest flushed', async () => {
    const limits = { ackTimeout: milliseconds(10), retryCount: 3 };
    const pair = await VirtualPair.open({ near: limits });
    const { near } = pair;
    const start = pair.clock.now();
    for (const [id, length] of [SHORT, LONG, SHORT].entries())
      await near.end.postSend(near.slot, request(near, length, { id }));
    // Only this side runs.
    const { nic } = near.end.opened;
    const run = (): void => {
      nic.port.deadline();
      for (let turn = 0; turn < 600; turn++) nic.progress();
    };
    pair.clock.advance(milliseconds(40) - 1);
    run();
    expect(await near.end.completionsNow(near.slot)).toEqual([]);
    expect(nic.port.deadline() - start).toBe(milliseconds(40));
    pair.clock.advance(1);
    run();
    expect(statuses(await near.end.completionsNow(near.slot))).toEqual([
      [0, WcStatus.RETRY_EXC_ERR],
      [1, WcStatus.WR_FLUSH_ERR],
      [2, WcStatus.WR_FLUSH_ERR],
    ]);
    expect(nic.pollEvent()).toMatchObject({ type: 'disconnected', reason: 'error' });
    await pair.close();
  });

  it('is not one that only has no receive', async () => {
    const pair = await VirtualPair.open({ near: { ackTimeout: milliseconds(1), retryCount: 0 } });
    const { near, far } = pair;
    await near.end.postSend(near.slot, request(near, SHORT, { id: 1 }));
    for (let waits = 0; waits < 50; waits++) {
      pair.quiesce();
      expect(pair.advance()).toBe(true);
    }
    await far.end.postReceive(far.slot, request(far, SHORT));
    expect(statuses(await pair.completions(near, 1))).toEqual([[1, 0]]);
    await pair.close();
  });
});

describe('the error state', () => {
  it('completes sends and receives in posting order, then whatever is posted, and reports one end', async () => {
    const pair = await VirtualPair.open();
    const { near, far } = pair;
    for (const id of [10, 11, 12])
      await near.end.postReceive(near.slot, request(near, LONG, { id }));
    await far.end.postReceive(far.slot, request(far, LONG));
    const wrong = { opcode: Opcode.RDMA_WRITE, remoteAddress: 64, remoteKey: 12345 } as const;
    const posts = [{}, wrong, {}, { opcode: Opcode.RDMA_READ }, {}];
    for (const [id, fields] of posts.entries())
      await near.end.postSend(near.slot, request(near, LONG, { id, ...fields }));
    const found = await pair.completions(near, 8);
    const sends = found.filter((one) => one.opcode !== Opcode.RECV);
    const receives = found.filter((one) => one.opcode === Opcode.RECV);
    expect(statuses(sends)).toEqual([
      [0, WcStatus.SUCCESS],
      [1, WcStatus.REM_ACCESS_ERR],
      [2, WcStatus.WR_FLUSH_ERR],
      [3, WcStatus.WR_FLUSH_ERR],
      [4, WcStatus.WR_FLUSH_ERR],
    ]);
    expect(statuses(receives)).toEqual([10, 11, 12].map((id) => [id, WcStatus.WR_FLUSH_ERR]));
    await near.end.postSend(near.slot, request(near, SHORT, { id: 20 }));
    await near.end.postReceive(near.slot, request(near, SHORT, { id: 21 }));
    expect(statuses(await pair.completions(near, 2))).toEqual([
      [20, WcStatus.WR_FLUSH_ERR],
      [21, WcStatus.WR_FLUSH_ERR],
    ]);
    expect((await eventsNow(pair, near)).map(({ type }) => type)).toEqual(['disconnected']);
    await pair.close();
  });

  it('does not wait for ever for a peer that says it is writing READ data', async () => {
    const pair = await VirtualPair.open();
    const { near, far } = pair;
    const { words } = pair.machine.loop.arena.view;
    const { stateWord } = far.end.queuePairOf(far.slot) as unknown as { stateWord: number };
    // A read that the far end never answers, because only the near one runs: more than the near one
    // reads by itself.
    const remote = { remoteAddress: far.region.address, remoteKey: far.region.remoteKey };
    await near.end.postSend(
      near.slot,
      request(near, 2 * DIRECT_BYTES_MAX, { opcode: Opcode.RDMA_READ, ...remote }),
    );
    words[stateWord + STATE_PUSHING] = 1;
    await near.end.destroy(near.slot);
    const { nic } = near.end.opened;
    for (let turn = 0; turn < 300; turn++) nic.progress();
    expect(await near.end.completionsNow(near.slot)).toEqual([]);
    pair.clock.advance(seconds(4));
    nic.progress();
    expect(statuses(await near.end.completionsNow(near.slot))).toEqual([
      [0, WcStatus.WR_FLUSH_ERR],
    ]);
    expect(nic.pollEvent()).toMatchObject({ type: 'destroyed' });
    await pair.close();
  });
});

describe('a connection that was accepted', () => {
  it('takes requests at once and sends them when the peer has confirmed (RTR, then RTS)', async () => {
    const pair = await Pair.open(INLINE);
    const { near, far } = pair;
    await far.listen(80);
    const slot = await near.queuePair();
    await near.postReceive(slot, { id: 1, sges: [] });
    await near.connect(slot, 0x7f4d0002, 80);
    const { requestId } = await expectEvent(far, 'connect-request');
    const farSlot = await far.queuePair();
    await far.accept(farSlot, requestId);
    expect(await far.postSend(farSlot, { id: 2, sges: [] })).toBe(PostResult.OK);
    expect(await near.completion(slot)).toMatchObject({ id: 1, status: 0 });
    expect(await far.completion(farSlot)).toMatchObject({ id: 2, status: 0 });
    await far.unlisten(80);
    await pair.disconnect({ near: slot, far: farSlot });
    await pair.close();
  });
});

describe('a completion queue', () => {
  it('that is full holds work back and loses nothing, sends and receives alike', async () => {
    const count = 40;
    const pair = await Pair.open(INLINE);
    const connection = await pair.connect({ completionDepth: 4 });
    const mine = await registered(pair.near, connection.near, { bytes: LONG });
    const { address, localKey } = mine.region;
    for (let id = 0; id < count; id++) {
      await pair.far.postReceive(connection.far, { id, sges: [] });
      await pair.near.postSend(connection.near, { id, sges: [[address, 0, localKey]] });
    }
    for (let turn = 0; turn < 1000; turn++) pair.machine.loop.turn();
    // Nobody polls: the near queue is full, so only as many requests were taken.
    const received = await pair.far.completionsNow(connection.far);
    const sent = await pair.near.completionsNow(connection.near);
    expect([sent.length, received.length]).toEqual([4, 4]);
    while (sent.length < count || received.length < count) {
      pair.machine.loop.turn();
      sent.push(...(await pair.near.completionsNow(connection.near)));
      received.push(...(await pair.far.completionsNow(connection.far)));
    }
    const all = Array.from({ length: count }, (_, id) => [id, WcStatus.SUCCESS] as const);
    expect([statuses(sent), statuses(received)]).toEqual([all, all]);
    await pair.near.release(mine.block.id);
    await pair.disconnect(connection);
    await pair.close();
  });
});

/** A pair whose far end posted many receives, and the far completion queue's notification. */
async function withEvents() {
  const pair = await VirtualPair.open();
  const { near, far } = pair;
  for (let id = 0; id < 60; id++) await far.end.postReceive(far.slot, request(far, LONG, { id }));
  const found = far.end.completionQueueOf(far.slot).notification;
  if (found === undefined) throw new Error('no completion events');
  const notification: CompletionNotification = found;
  const send = (length: number, flags = 0): Promise<PostResult> =>
    near.end.postSend(near.slot, request(near, length, { flags }));
  const events = async (): Promise<string[]> =>
    (await eventsNow(pair, far)).map((event) =>
      event.type === 'completion-event' ? `completion ${event.completionQueue}` : event.type,
    );
  return { pair, near, far, notification, send, events };
}

describe('completion events', () => {
  it('come once per arming, and never for a queue that was not armed', async () => {
    const { pair, notification, send, events } = await withEvents();
    await send(SHORT);
    expect(await events()).toEqual([]);
    // What was there before the arming raises none: that is what polling afterwards is for.
    notification.arm('next');
    expect(await events()).toEqual([]);
    for (const length of [SHORT, LONG]) {
      await send(length);
      await send(length);
      expect(await events()).toEqual([`completion ${notification.index}`]);
      notification.arm('next');
    }
    await pair.close();
  });

  it('for solicited completions come for a SOLICITED request, short or long, and for a failure', async () => {
    const { pair, far, notification, send, events } = await withEvents();
    const expected = [`completion ${notification.index}`];
    for (const length of [SHORT, LONG]) {
      notification.arm('solicited');
      await send(length);
      expect(await events()).toEqual([]);
      await send(length, SendFlag.SOLICITED);
      expect(await events()).toEqual(expected);
    }
    notification.arm('solicited');
    await far.end.postSend(far.slot, { sges: [[64, 1, 999]] });
    expect((await events()).sort()).toEqual([...expected, 'disconnected']);
    await pair.close();
  });

  it('wait for a count of completions, or for a period after the first', async () => {
    const { pair, notification, send, events } = await withEvents();
    const expected = [`completion ${notification.index}`];
    notification.moderate({ countMin: 5, periodMax: microseconds(50) });
    notification.arm('next');
    for (let sent = 1; sent <= 4; sent++) await send(SHORT);
    expect(await events()).toEqual([]);
    await send(LONG);
    expect(await events()).toEqual(expected);
    notification.arm('next');
    const start = pair.clock.now();
    await send(SHORT);
    expect(await events()).toEqual([]);
    expect(pair.nextDeadline() - start).toBe(microseconds(50));
    pair.advance();
    expect(await events()).toEqual(expected);
    expect(pair.nextDeadline()).toBe(Infinity);
    await pair.close();
  });

  it('reach a host whose engine is a worker', async () => {
    const pair = await Pair.open({ ...INLINE, near: 'worker' });
    const connection = await pair.connect();
    const { notification } = pair.near.completionQueueOf(connection.near);
    await pair.near.postReceive(connection.near, { sges: [] });
    notification?.arm('next');
    await pair.far.postSend(connection.far, { sges: [] });
    expect(await pair.near.event()).toEqual({
      type: 'completion-event',
      completionQueue: notification?.index,
    });
    expect((await pair.near.completion(connection.near)).status).toBe(WcStatus.SUCCESS);
    await pair.disconnect(connection);
    await pair.close();
  });
});
