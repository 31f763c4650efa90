// What goes wrong when hosts are opened or memory runs out: a clear error each time, of the class that
// is documented, and nothing left behind.

import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { HostOptionsError, openHost, SystemError } from '../../index.js';
import type { HostOptions } from '../../index.js';
import { segmentHeader } from '../../native/layout/segment.layout.js';
import { SEGMENT_MAGIC, SEGMENT_VERSION } from '../../native/layout/segment.layout.js';
import { OwnerPipe } from '../../native/wake-pipe.js';
import * as spi from '../../provider/spi/index.js';
import { Child } from './child.js';
import * as fixture from './fixture.js';
import { A, ENGINES } from './fixture.js';

/** What openHost rejects with. */
async function failureOf(options: HostOptions): Promise<unknown> {
  try {
    const host = await openHost(options);
    await host.close();
  } catch (thrown) {
    return thrown;
  }
  return null;
}

describe.each(ENGINES)('opening a host over the %s engine', (engine) => {
  it('names a provider module that cannot be loaded, and leaves nothing', async () => {
    const fabric = fixture.newFabric();
    const thrown = await failureOf({ fabric, address: A, engine, providers: ['no-such-provider'] });
    expect(thrown).toBeInstanceOf(HostOptionsError);
    expect((thrown as Error).message).toContain('"no-such-provider" cannot be loaded');
    expect(existsSync(fixture.fabricPath(fabric))).toBe(false);
  });

  it('names a provider module without createProvider, and leaves nothing', async () => {
    const fabric = fixture.newFabric();
    const thrown = await failureOf({ fabric, address: A, engine, providers: ['node:path'] });
    expect(thrown).toBeInstanceOf(HostOptionsError);
    expect((thrown as Error).message).toContain('"node:path" exports no function createProvider');
    expect(existsSync(fixture.fabricPath(fabric))).toBe(false);
  });

  it('leaves an address to the living host that has it, in this process or another', async () => {
    const fabric = fixture.newFabric();
    const a = await fixture.open({ fabric, address: A, engine });
    const thrown = await failureOf({ fabric, address: A, engine });
    expect(thrown).toBeInstanceOf(SystemError);
    expect(thrown).toMatchObject({ code: 'EADDRINUSE' });
    expect((thrown as Error).message).toContain(A);

    const child = new Child('open', { fabric, address: A, engine });
    expect(await child.said()).toMatchObject({ name: 'SystemError', code: 'EADDRINUSE' });
    expect(await child.ended).toBe(0);
    await fixture.closeClean(a);
  });
});

describe('options that cannot be', () => {
  it.each(['192.168.1.1', '126.255.255.255', '127.0.0.1', '127.1', 'localhost', '::1', ''])(
    'the address %j is refused by name',
    async (address) => {
      const thrown = await failureOf({ fabric: fixture.newFabric(), address });
      expect(thrown).toBeInstanceOf(HostOptionsError);
      expect((thrown as Error).message).toMatch(/^address .*127\.0\.0\.0\/8/);
    },
  );

  it.each([
    '',
    '.',
    '..',
    '.hidden',
    'a/b',
    '../up',
    'white space',
    'ünï',
    'nul\0',
    'x'.repeat(33),
  ])('the fabric %j is refused by name', async (fabric) => {
    const thrown = await failureOf({ fabric, address: A });
    expect(thrown).toBeInstanceOf(HostOptionsError);
    expect((thrown as Error).message).toMatch(/^fabric /);
  });

  it('a fabric name of all the characters allowed, 32 of them, works', async () => {
    const fabric = `${fixture.newFabric()}_.-Az09`.padEnd(32, 'z');
    const a = await fixture.open({ fabric, address: A, engine: 'inline' });
    expect(existsSync(fixture.fabricPath(fabric))).toBe(true);
    await fixture.closeClean(a);
    expect(existsSync(fixture.fabricPath(fabric))).toBe(false);
  });

  it('an unknown option is refused', async () => {
    const options = { fabric: fixture.newFabric(), address: A, colour: 'red' } as HostOptions;
    const thrown = await failureOf(options);
    expect(thrown).toBeInstanceOf(HostOptionsError);
    expect((thrown as Error).message).toContain('colour');
  });
});

/** Files at `address` that look like those of a living host, with `segment` as its segment. */
function imposter(fabric: string, address: string, segment: Uint8Array): void {
  const path = fixture.fabricPath(fabric);
  mkdirSync(path, { mode: 0o700 });
  writeFileSync(`${path}/${address}.segment`, segment, { mode: 0o600 });
  const pipe = OwnerPipe.create(`${path}/${address}.wake`);
  fixture.atEnd(() => {
    pipe.close();
    rmSync(path, { recursive: true, force: true });
  });
}

function segmentOfVersion(version: number): Uint8Array {
  const bytes = new Uint8Array(1 << 20);
  const words = new Int32Array(bytes.buffer);
  words[segmentHeader.word('magic')] = SEGMENT_MAGIC;
  words[segmentHeader.word('version')] = version;
  return bytes;
}

describe.each(ENGINES)('another host that cannot be understood, over the %s engine', (engine) => {
  it.each([
    ['of another version', segmentOfVersion(SEGMENT_VERSION + 1)],
    ['with a garbage segment', new Uint8Array(1 << 20).fill(0xa5)],
    ['with an empty segment', new Uint8Array(0)],
  ])(
    '%s is no host of the SAN: hosts open, and TCP/IP reaches it [CONN-04]',
    async (_what, segment) => {
      const fabric = fixture.newFabric();
      imposter(fabric, '127.77.0.9', segment);
      const server = createServer((socket) => socket.end('tcp'));
      server.listen(0, '127.77.0.9');
      await once(server, 'listening');
      const { port } = server.address() as AddressInfo;
      const a = await fixture.open({ fabric, address: A, engine });
      const socket = fixture.connect(a, '127.77.0.9', port);
      const buffer = Buffer.alloc(16);
      expect(await a.winsock.promises.recv(socket, buffer, buffer.length, 0)).toBe(3);
      expect(a.statistics()).toMatchObject({ sanConnections: 0, tcpConnections: 1 });
      a.winsock.closesocket(socket);
      server.close();
      expect(fixture.errorOf(() => fixture.connect(a, '127.77.0.9', 9))).toBe(spi.WSAECONNREFUSED);
      await fixture.closeClean(a);
    },
  );
});

/** A shell that sets a limit, then becomes what follows. */
function limited(limit: string): readonly string[] {
  return ['sh', '-c', `${limit} && exec "$@"`, 'sh'];
}

/** In a name space of its own, where shared memory has `size`; at its end, fails unless it is empty. */
function withSharedMemory(size: string): readonly string[] {
  const script = `mount -t tmpfs -o size=${size} tmpfs /dev/shm && "$@" && [ -z "$(ls -A /dev/shm)" ]`;
  return ['unshare', '-m', 'sh', '-c', script, 'sh'];
}

function canMount(): boolean {
  const whole = [...withSharedMemory('64k'), 'true'];
  const [command, ...args] = whole as [string, ...string[]];
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

describe('memory that runs out', () => {
  it('VirtualAlloc of more than the segment has is null, and less still works', async () => {
    const fabric = fixture.newFabric();
    const segmentBytes = 16 << 20;
    const a = await fixture.open({ fabric, address: A, engine: 'inline', segmentBytes });
    expect(a.VirtualAlloc(2 * segmentBytes)).toBeNull();
    const memory = a.VirtualAlloc(1 << 20);
    expect(memory).toHaveLength(1 << 20);
    expect(a.usage().memoryBlocks).toBe(1);
    expect(memory !== null && a.VirtualFree(memory)).toBe(true);
    await fixture.closeClean(a);
  });

  it.each(ENGINES)(
    'a limit on file sizes fails openHost with EFBIG and leaves nothing (%s engine)',
    async (engine) => {
      const fabric = fixture.newFabric();
      const child = new Child(
        'open',
        { fabric, address: A, engine },
        { through: limited('ulimit -f 64') },
      );
      expect(await child.said()).toMatchObject({ name: 'SystemError', code: 'EFBIG' });
      expect(await child.ended).toBe(0);
      expect(existsSync(fixture.fabricPath(fabric))).toBe(false);
    },
  );

  // Only where this user may mount; the limit on file sizes stands for it elsewhere.
  if (canMount()) {
    it.each(ENGINES)(
      'shared memory that is full fails openHost with ENOSPC and leaves nothing (%s engine)',
      async (engine) => {
        const plan = { fabric: fixture.newFabric(), address: A, engine };
        const child = new Child('open', plan, { through: withSharedMemory('64k') });
        expect(await child.said()).toMatchObject({ name: 'SystemError', code: 'ENOSPC' });
        expect(await child.ended).toBe(0);
      },
    );

    it('shared memory with room for a header only is full as well', async () => {
      const plan = { fabric: fixture.newFabric(), address: A, engine: 'inline' };
      const child = new Child('open', plan, { through: withSharedMemory('256k') });
      expect(await child.said()).toMatchObject({ name: 'SystemError', code: 'ENOSPC' });
    });

    it('shared memory that fills up makes VirtualAlloc null, and less still works', async () => {
      const plan = {
        fabric: fixture.newFabric(),
        address: A,
        engine: 'inline',
        allocate: 32 << 20,
      };
      const child = new Child('open', plan, { through: withSharedMemory('16m') });
      expect(await child.said()).toEqual({ allocated: false, allocatedLess: true });
      expect(await child.ended).toBe(0);
    });
  }

  it('pin: require turns the memlock limit into null and WSAENOBUFS [REGMEM-04]', async () => {
    const plan = { fabric: fixture.newFabric(), pin: 'require' };
    const child = new Child('memlock', plan, { through: limited('ulimit -l 64') });
    expect(await child.said()).toEqual({
      allocated: [false, false],
      registered: spi.WSAENOBUFS,
      usage: fixture.UNUSED,
    });
    expect(await child.ended).toBe(0);
    expect(child.errors).toBe('');
  });

  it('pin: try goes on without the lock at the memlock limit, and warns once', async () => {
    const plan = { fabric: fixture.newFabric(), pin: 'try' };
    const child = new Child('memlock', plan, { through: limited('ulimit -l 64') });
    expect(await child.said()).toEqual({
      allocated: [true, true],
      registered: 0,
      usage: fixture.UNUSED,
    });
    expect(await child.ended).toBe(0);
    expect(child.errors.split('\n').filter((line) => line.includes('memlock limit'))).toHaveLength(
      1,
    );
  });
});
