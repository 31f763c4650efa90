// Processes that die or stop in the middle of a transfer: what the survivor's application sees, that the
// dead host's files go away, and that the fabric is as good as new.

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Host } from '../../index.js';
import { FabricDirectory } from '../../native/fabric-directory.js';
import * as spi from '../../provider/spi/index.js';
import { Child } from './child.js';
import * as fixture from './fixture.js';
import { A, B, Deadline, ENGINES } from './fixture.js';
import type { Engine } from './fixture.js';
import { StreamEnd } from './stream.js';

const AT_A = { seed: 30_001, peerSeed: 30_002, memory: 'VirtualAlloc' } as const;
const AT_B = { seed: 30_002, peerSeed: 30_001, memory: 'VirtualAlloc' } as const;
/** In the middle of a transfer: this much has arrived. */
const MIDDLE = 3_000_000;

/** Host A in this process and a child at B that sends and receives; one of the two has connected. */
async function withChild(
  fabric: string,
  engine: Engine,
  options: { readonly connects: 'a' | 'b'; readonly sends: number },
): Promise<{ a: Host; end: StreamEnd; child: Child }> {
  const stream = { ...AT_B, sends: options.sends };
  const plan = { fabric, address: B, engine, style: 'overlapped', stream };
  const streamAt = (a: Host, socket: number): StreamEnd =>
    new StreamEnd(a, socket, { ...AT_A, sends: options.sends });
  if (options.connects === 'a') {
    const child = new Child('stream', plan);
    const { port } = await child.said<{ port: number }>();
    const a = await fixture.open({ fabric, address: A, engine });
    return { a, end: streamAt(a, fixture.connect(a, B, port)), child };
  }
  const a = await fixture.open({ fabric, address: A, engine });
  const { listener, port } = fixture.listen(a);
  const child = new Child('stream', { ...plan, to: { address: A, port } });
  const accepted = await fixture.watched(
    a.winsock.promises.accept(listener, null, null),
    'the connection of the child',
  );
  a.winsock.closesocket(listener);
  return { a, end: streamAt(a, accepted), child };
}

/** A new pair of hosts on the fabric carries both ways, over the SAN. */
async function expectWorks(fabric: string, engine: Engine): Promise<void> {
  const a = await fixture.open({ fabric, address: A, engine });
  const b = await fixture.open({ fabric, address: B, engine });
  const { listener, port } = fixture.listen(b);
  const atA = fixture.connect(a, B, port);
  const atB = fixture.must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
  const [here, there] = [
    { host: a, socket: atA },
    { host: b, socket: atB },
  ];
  expect(fixture.carry(here, there, 'as good')).toBe('as good');
  expect(fixture.carry(there, here, 'as new')).toBe('as new');
  expect(a.statistics().sanConnections).toBe(1);
  a.winsock.closesocket(atA);
  for (const socket of [listener, atB]) b.winsock.closesocket(socket);
  await fixture.closeClean(a, b);
}

function filesOf(fabric: string, address: string): string[] {
  return readdirSync(fixture.fabricPath(fabric)).filter((name) => name.startsWith(`${address}.`));
}

describe.each(ENGINES)('a peer that dies, over the %s engine', (engine) => {
  it.each(['a', 'b'] as const)(
    'in mid-transfer ends what is pending with WSAECONNRESET, and its files go (connected by %s) [COMP-12 ERR-01]',
    async (connects) => {
      const fabric = fixture.newFabric();
      const { a, end, child } = await withChild(fabric, engine, { connects, sends: Infinity });
      const deadline = new Deadline('the middle of the transfer, and the end of what is pending');
      const check = (): void => deadline.check();
      end.advance(MIDDLE, check);
      child.kill('SIGKILL');

      // What had arrived before may still be received; then everything ends in the same way.
      const error = fixture.errorOf(() => {
        end.advance(Infinity, check);
      });
      expect(error).toBe(spi.WSAECONNRESET);
      expect(end.hasEnded).toBe(false);
      const { receives, sends } = end.ends(check);
      const reset = receives.findIndex((late) => late.error !== 0);
      for (const { error: late, bytes } of reset < 0 ? receives : receives.slice(0, reset)) {
        // Never a receive of no bytes: that would be a graceful end.
        expect([late, bytes > 0]).toEqual([0, true]);
      }
      for (const { error: late } of reset < 0 ? [] : receives.slice(reset)) {
        expect(late).toBe(spi.WSAECONNRESET);
      }
      for (const { error: late } of sends) expect([0, spi.WSAECONNRESET]).toContain(late);

      end.close();
      expect(a.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 0 });
      expect(await child.ended).toBe('SIGKILL');
      await fixture.until(() => {
        a.progress();
        return filesOf(fabric, B).length === 0;
      }, 'the removal of the files of the dead host');
      await fixture.closeClean(a);
      await expectWorks(fabric, engine);
    },
  );

  it('while nothing moves ends a pending receive with WSAECONNRESET, without any traffic [COMP-12 ERR-01]', async () => {
    const fabric = fixture.newFabric();
    const child = new Child('idle', { fabric, address: B, engine, style: 'wait' });
    const { port } = await child.said<{ port: number }>();
    const a = await fixture.open({ fabric, address: A, engine });
    const socket = fixture.connect(a, B, port);
    await child.said();
    const buffer = Buffer.alloc(100);
    const receiving = a.winsock.promises.recv(socket, buffer, buffer.length, 0);
    child.kill('SIGKILL');
    const error = await fixture.watched(
      receiving.then(
        () => 0,
        (thrown: unknown) => (spi.isWsaError(thrown) ? thrown.code : thrown),
      ),
      'the end of the receive',
    );
    expect(error).toBe(spi.WSAECONNRESET);
    expect(a.winsock.send(socket, buffer, 1, 0)).toBe(spi.SOCKET_ERROR);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSAECONNRESET);
    expect(a.statistics()).toMatchObject({ sanConnections: 1, tcpConnections: 0 });
    a.winsock.closesocket(socket);
    await fixture.closeClean(a);
    await child.ended;
  });

  it('together with the other one leaves files that the next host of the fabric removes', async () => {
    const fabric = fixture.newFabric();
    const report = 1_000_000;
    // JSON has no Infinity: null stands for it.
    const common = { fabric, engine, style: 'overlapped', report };
    const b = new Child('stream', { ...common, address: B, stream: { ...AT_B, sends: null } });
    const to = { address: B, port: (await b.said<{ port: number }>()).port };
    const a = new Child('stream', { ...common, address: A, to, stream: { ...AT_A, sends: null } });
    await Promise.all([a.said(), b.said()]);
    a.kill('SIGKILL');
    b.kill('SIGKILL');
    await Promise.all([a.ended, b.ended]);
    // Whichever died last could not clean up after itself; it may have after the other.
    expect([...filesOf(fabric, A), ...filesOf(fabric, B)]).not.toEqual([]);
    expect(new FabricDirectory(fabric).hosts()).toEqual([]);

    const other = await fixture.open({ fabric, address: '127.77.0.3', engine });
    expect([...filesOf(fabric, A), ...filesOf(fabric, B)]).toEqual([]);
    await fixture.closeClean(other);
    await expectWorks(fabric, engine);
  });

  it('is not one that is stopped for a while: it goes on and nothing is lost [XFER-15]', async () => {
    const fabric = fixture.newFabric();
    const { a, end, child } = await withChild(fabric, engine, { connects: 'a', sends: 60 });
    const deadline = new Deadline('the end of the stream');
    end.advance(500_000, () => deadline.check());
    child.kill('SIGSTOP');
    await fixture.until(() => stateOf(child.pid) === 'T', 'the child has stopped');
    // A while: until a wait of this length brings nothing more.
    for (let before = -1; before !== end.bytesReceived; ) {
      before = end.bytesReceived;
      end.step(100);
      deadline.check();
    }
    child.kill('SIGCONT');
    while (!end.isDone) {
      end.step(1_000);
      deadline.check();
    }
    end.close();
    await fixture.closeClean(a);
    const { statistics, usage } = await child.said<{
      statistics: { messageBytesReceived: number; rdmaBytesReceived: number };
      usage: object;
    }>();
    expect(statistics.messageBytesReceived + statistics.rdmaBytesReceived).toBe(end.bytesSent);
    expect(usage).toEqual(fixture.UNUSED);
    expect(await child.ended).toBe(0);
  });
});

/** The state of a process's first thread, as the kernel tells it. */
function stateOf(pid: number): string {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[0] ?? '';
}
