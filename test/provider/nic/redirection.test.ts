// Requests that one NIC sends on to another: who is asked in the end, what for, and what becomes of a
// request when nobody is there.

import { afterEach, describe, expect, it } from 'vitest';
import type { LocalEnd } from './harness/end.js';
import { expectEvent, FAR, Machine, NEAR } from './harness/pair.js';

const THIRD = 0x7f4d0003;
const PORT = 80;

describe.each(['inline', 'worker'] as const)('redirection, %s engines', (engine) => {
  const machines: Machine[] = [];
  const ends: LocalEnd[] = [];

  afterEach(async () => {
    for (const end of ends.splice(0)) await end.close();
    for (const machine of machines.splice(0)) machine.close();
  });

  /** Who asks, who is asked at first, and who has the service. */
  async function open(): Promise<Record<'asker' | 'first' | 'second', LocalEnd>> {
    const machine = new Machine();
    machines.push(machine);
    const [asker, first, second] = await Promise.all(
      [NEAR, FAR, THIRD].map((address) => machine.open(address, engine)),
    );
    if (asker === undefined || first === undefined || second === undefined) throw new Error();
    ends.push(asker, first, second);
    return { asker, first, second };
  }

  async function ask(end: LocalEnd, text: string): Promise<number> {
    const slot = await end.queuePair();
    await end.connect(slot, FAR, PORT, new Uint8Array(Buffer.from(text)));
    return slot;
  }

  /** A NIC that a provider uses: one without says so instead of refusing. */
  const inUse = async (end: LocalEnd): Promise<void> => {
    await end.destroy(await end.queuePair());
    await expectEvent(end, 'destroyed');
  };

  it('what waits and what comes is asked again at the other NIC, whole', async () => {
    const { asker, first, second } = await open();
    await first.listen(PORT);
    const waiting = await ask(asker, 'waits');
    await expectEvent(first, 'connect-request');
    expect(second.opened.nic.listen(PORT, FAR)).toBe(true);
    first.opened.nic.redirect(PORT, THIRD);
    for (const text of ['waits', 'comes']) {
      const slot = text === 'waits' ? waiting : await ask(asker, text);
      const request = await expectEvent(second, 'connect-request');
      expect(request).toMatchObject({ port: PORT, address: FAR, remoteAddress: NEAR });
      expect(Buffer.from(request.privateData).toString()).toBe(text);
      const answering = await second.queuePair();
      await second.accept(answering, request.requestId);
      expect(await expectEvent(second, 'established')).toMatchObject({ remoteAddress: NEAR });
      const established = await expectEvent(asker, 'established');
      expect(established).toMatchObject({ queuePair: slot, remoteAddress: THIRD });
      await asker.destroy(slot);
      await expectEvent(asker, 'destroyed');
      await expectEvent(second, 'disconnected');
      await second.destroy(answering);
      await expectEvent(second, 'destroyed');
    }
  });

  it('a service is its address and its port: the other NIC has its own beside it', async () => {
    const { asker, first, second } = await open();
    expect(second.opened.nic.listen(PORT)).toBe(true);
    expect(second.opened.nic.listen(PORT, FAR)).toBe(true);
    expect(second.opened.nic.listen(PORT, FAR)).toBe(false);
    first.opened.nic.redirect(PORT, THIRD);
    second.opened.nic.unlisten(PORT);
    const slot = await ask(asker, '');
    expect(await expectEvent(second, 'connect-request')).toMatchObject({ address: FAR });
    second.opened.nic.unlisten(PORT, FAR);
    const failed = await expectEvent(asker, 'connect-failed');
    expect(failed).toMatchObject({ queuePair: slot, reason: 'rejected' });
  });

  it('listening ends it: the first NIC answers again, also what was sent on before', async () => {
    const { asker, first, second } = await open();
    first.opened.nic.redirect(PORT, THIRD);
    expect(second.opened.nic.listen(PORT, FAR)).toBe(true);
    await ask(asker, '');
    await expectEvent(second, 'connect-request');
    expect(first.opened.nic.listen(PORT)).toBe(true);
    second.opened.nic.redirect(PORT, FAR, FAR);
    expect(await expectEvent(first, 'connect-request')).toMatchObject({ address: FAR });
  });

  it('fails with unreachable where nobody is: for null, a NIC without the service or none at all, the asker, a circle', async () => {
    const { asker, first, second } = await open();
    await inUse(second);
    let asked = 0;
    const { nic } = first.opened;
    for (const redirect of [
      () => {
        nic.redirect(PORT, null);
      },
      () => {
        nic.redirect(PORT, THIRD);
      },
      () => {
        nic.redirect(PORT, 0x7f4d0063);
      },
      () => {
        nic.redirect(PORT, NEAR);
      },
      () => {
        nic.redirect(PORT, THIRD);
        second.opened.nic.redirect(PORT, FAR, FAR);
      },
    ]) {
      redirect();
      const slot = await ask(asker, '');
      const failed = await expectEvent(asker, 'connect-failed');
      expect(failed, `way ${asked}`).toMatchObject({ queuePair: slot, reason: 'unreachable' });
      asked++;
    }
    expect(asked).toBe(5);
  });
});
