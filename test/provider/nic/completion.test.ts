// A completion queue, both ends: order, room, wrap, and the reader's word about how far it has read.

import fc from 'fast-check';
import { expect, it } from 'vitest';
import { SharedView } from '../../../native/shared-view.js';
import { SharedCompletionQueue } from '../../../provider/nic/completion-queue.js';
import { CompletionRing } from '../../../provider/nic/completion-ring.js';
import { completionQueueControl, CQ_HELD } from '../../../provider/nic/layout.js';
import { CQE_WORDS } from '../../../provider/nic/limits.js';
import { Opcode, WorkCompletion } from '../../../provider/nic/verbs.js';

function make(depth: number) {
  const control = depth * CQE_WORDS;
  const view = new SharedView(new ArrayBuffer(control * 4 + completionQueueControl.bytes));
  const taken: number[] = [];
  const calls: string[] = [];
  const queue = new SharedCompletionQueue({
    index: 0,
    view,
    ring: 0,
    control,
    depth,
    host: {
      taken: (completion) => taken.push(completion.id),
      roomMade: () => calls.push('room'),
      enableEvents: () => calls.push('enable'),
      moderate: () => calls.push('moderate'),
    },
  });
  const ring = new CompletionRing(view, 0, control, depth);
  return { view, control, ring, queue, taken, calls };
}

it('what is pushed comes out once, in order, whatever the depth and the turns', () => {
  const turns = fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 60 });
  fc.assert(
    fc.property(fc.constantFrom(1, 2, 4, 16, 64, 256), turns, (depth, walk) => {
      const { ring, queue, taken } = make(depth);
      const completion = new WorkCompletion();
      let pushed = 0;
      let polled = 0;
      for (const [pushes, polls] of walk) {
        for (let push = 0; push < pushes && ring.hasRoom(1); push++)
          ring.push(7, pushed++, Opcode.SEND, 0, 1);
        expect(pushed - polled).toBeLessThanOrEqual(depth);
        for (let poll = 0; poll < polls && queue.poll(completion); poll++)
          expect(completion.id).toBe(polled++);
      }
      while (queue.poll(completion)) expect(completion.id).toBe(polled++);
      expect(polled).toBe(pushed);
      expect(taken.length).toBe(pushed);
      // An empty queue has room, or the engine would hold back for ever.
      expect(ring.hasRoom(1)).toBe(true);
    }),
    { seed: 0x5eed },
  );
});

it('a completion keeps every field', () => {
  const { ring, queue } = make(4);
  const completion = new WorkCompletion();
  ring.push(4095, 0xffffffff | 0, Opcode.RDMA_READ, 21, 0xf0000000 | 0);
  expect(queue.poll(completion)).toBe(true);
  expect(completion).toMatchObject({
    id: 0xffffffff,
    queuePair: 4095,
    opcode: Opcode.RDMA_READ,
    status: 21,
    byteLength: 0xf0000000,
  });
});

it('the reader wakes an engine that found no room, and no other', () => {
  const depth = 4;
  const { view, control, ring, queue, calls } = make(depth);
  const completion = new WorkCompletion();
  const fill = (): void => {
    while (ring.hasRoom(1)) ring.push(1, 0, Opcode.SEND, 0, 0);
  };
  const drain = (): void => {
    while (queue.poll(completion));
  };
  ring.push(1, 0, Opcode.SEND, 0, 0);
  ring.push(1, 0, Opcode.SEND, 0, 0);
  drain();
  expect([calls, view.loadPlain(control + CQ_HELD)]).toEqual([[], 0]);
  fill();
  expect(view.loadPlain(control + CQ_HELD)).toBe(1);
  drain();
  // Once for each time the reader says how far it has read.
  expect(calls).toEqual(['room', 'room']);
  expect([ring.hasRoom(1), view.loadPlain(control + CQ_HELD)]).toEqual([true, 0]);
});
