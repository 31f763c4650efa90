// The transfer suite where the kernel lets no process reach the other's memory: everything that does
// not lie in a segment goes through the bounce buffer. And what happens when it turns out, with a
// request half done, that the peer does reach it.

import { afterEach, expect, it, vi } from 'vitest';
import { PeerHost } from '../../../provider/nic/peer-host.js';
import { Opcode, WcStatus } from '../../../provider/nic/verbs.js';
import { describePair, EVERYTHING, INLINE, registered, TWO_PROCESSES } from './harness/pair.js';
import { transferSuite } from './transfer-suite.js';

describePair(
  'transfer through the bounce buffer',
  [{ ...TWO_PROCESSES, isCutOff: true }],
  transferSuite,
);

const PARTS = [
  { what: 'its only piece', bytes: 3_000 },
  { what: 'its first of several pieces', bytes: 1_500_000 },
];

describePair(
  'a request under way while its peer turns out to reach its memory',
  [INLINE],
  (pair) => {
    const peers = (): PeerHost[] => [...new Set(validated.mock.contexts as PeerHost[])];
    const validated = vi.spyOn(PeerHost.prototype, 'isValidEndpoint');

    afterEach(() => {
      validated.mockClear();
    });

    it.each(
      [Opcode.RDMA_READ, Opcode.RDMA_WRITE].flatMap((opcode) =>
        PARTS.map((part) => ({ opcode, ...part })),
      ),
    )(
      'is published once, and nothing behind it is lost: opcode $opcode with $what in the buffer',
      async ({ opcode, bytes }) => {
        const { near, far } = pair();
        const connection = await pair().connect();
        for (const peer of peers()) peer.reachesUs = false;
        const here = await registered(near, connection.near, { storage: 'process', bytes });
        const there = await registered(far, connection.far, { bytes, access: EVERYTHING });
        const data = new Uint8Array(bytes).map((_, index) => (index * 7) & 255);
        const isRead = opcode === Opcode.RDMA_READ;
        if (isRead) await far.write(there.block.id, 0, data);
        else await near.write(here.block.id, 0, data);
        await far.postReceive(connection.far, {
          sges: [[there.region.address, 16, there.region.localKey]],
        });

        await near.postSend(connection.near, {
          id: 1,
          opcode,
          sges: [[here.region.address, bytes, here.region.localKey]],
          remoteAddress: there.region.address,
          remoteKey: there.region.remoteKey,
        });
        for (const peer of peers()) peer.reachesUs = true;
        await near.postSend(connection.near, {
          id: 2,
          sges: [[here.region.address, 4, here.region.localKey]],
        });

        const ended = [
          await near.completion(connection.near),
          await near.completion(connection.near),
        ];
        expect(ended.map(({ id, status }) => [id, status])).toEqual([
          [1, WcStatus.SUCCESS],
          [2, WcStatus.SUCCESS],
        ]);
        expect(await far.completion(connection.far)).toMatchObject({ byteLength: 4 });
        const moved = isRead
          ? await near.read(here.block.id, 0, bytes)
          : await far.read(there.block.id, 16, bytes - 16);
        expect(Buffer.compare(moved, isRead ? data : data.subarray(16))).toBe(0);
        await far.release(there.block.id);
        await pair().disconnect(connection);
      },
    );
  },
);
