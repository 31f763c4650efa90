// AcceptEx, ConnectEx, DisconnectEx and TransmitFile on whole hosts: real files, kernel sockets where the
// SAN does not reach, both ways with the same program.

import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { tcpipProvider } from '../../index.js';
import type { Host } from '../../index.js';
import * as spi from '../../provider/spi/index.js';
import { Prng } from '../../runtime/prng.js';
import * as fixture from './fixture.js';
import { A, B } from './fixture.js';

const AREA = 32;
const PATHS = ['SAN', 'TCP/IP'] as const;
type Path = (typeof PATHS)[number];

interface Hosts {
  readonly a: Host;
  readonly b: Host;
  readonly listener: number;
  readonly port: number;
}

async function openHosts(way: Path): Promise<Hosts> {
  const fabric = fixture.newFabric();
  const providers = way === 'SAN' ? {} : { providers: [tcpipProvider] };
  const a = await fixture.open({ fabric, address: A, engine: 'inline', ...providers });
  const b = await fixture.open({ fabric, address: B, engine: 'inline', ...providers });
  return { a, b, ...fixture.listen(b) };
}

function boundSocket(host: Host): number {
  const s = fixture.newSocket(host);
  const name = spi.sockaddrIn(host.address, 0);
  fixture.must(host.winsock, 'bind', host.winsock.bind(s, name, name.length));
  return s;
}

function temporaryFile(bytes: Uint8Array): number {
  const directory = mkdtempSync(path.join(tmpdir(), 'wsd-transmit-'));
  const file = path.join(directory, 'file');
  writeFileSync(file, bytes);
  const fd = openSync(file, 'r');
  fixture.atEnd(() => {
    closeSync(fd);
    rmSync(directory, { recursive: true });
  });
  return fd;
}

async function receive({ winsock }: Host, s: number, bytes: number): Promise<Buffer> {
  const got = Buffer.alloc(bytes);
  for (let at = 0; at < got.length; ) {
    const rest = got.subarray(at);
    const count = await winsock.promises.recv(s, rest, rest.length, 0);
    if (count === 0) throw new Error('the stream ended early');
    at += count;
  }
  return got;
}

describe.each(PATHS)('over %s', (way) => {
  it('AcceptEx and ConnectEx connect with first data, in several rounds on the same two sockets [ACC-05 XFER-17 COMP-01]', async () => {
    const { a, b, listener, port } = await openHosts(way);
    const [client, server] = [boundSocket(a), fixture.newSocket(b)];
    const to = spi.sockaddrIn(B, port);
    const output = new Uint8Array(64 + 2 * AREA);
    for (let round = 0; round < 3; round++) {
      const hello = Buffer.from(`round ${round}`);
      const accepted = b.winsock.promises.AcceptEx(listener, server, output, 64, AREA, AREA);
      const sent = a.winsock.promises.ConnectEx(client, to, 16, hello, hello.length);
      expect(await fixture.watched(sent, 'ConnectEx')).toBe(hello.length);
      const count = await fixture.watched(accepted, 'AcceptEx');
      expect(Buffer.from(output.subarray(0, count)).toString()).toBe(`round ${round}`);
      const context = new Uint8Array(8);
      context.set([listener, listener >>> 8, listener >>> 16, listener >>> 24]);
      const { SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT } = spi;
      const { winsock } = b;
      expect(winsock.setsockopt(server, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, context, 8)).toBe(0);
      const peer = new Uint8Array(16);
      expect(winsock.getpeername(server, peer, spi.ref(16))).toBe(0);
      expect(spi.parseSockaddr(peer)).toMatchObject({ ip: A });
      const here = { host: a, socket: client };
      expect(fixture.carry({ host: b, socket: server }, here, 'answer')).toBe('answer');
      // Both ends at once: each waits for the other.
      const ends = [
        a.winsock.promises.DisconnectEx(client, 2, 0),
        b.winsock.promises.DisconnectEx(server, 2, 0),
      ];
      await fixture.watched(Promise.all(ends), 'DisconnectEx');
    }
    expect(a.statistics()).toMatchObject(
      way === 'SAN'
        ? { sanConnections: 3, tcpConnections: 0 }
        : { sanConnections: 0, tcpConnections: 3 },
    );
    a.winsock.closesocket(client);
    for (const s of [server, listener]) b.winsock.closesocket(s);
    await fixture.closeClean(a, b);
  });

  it('TransmitFile sends a file from any offset, head and tail around it, to the end of the stream [XFER-17]', async () => {
    const { a, b, listener, port } = await openHosts(way);
    const file = Buffer.alloc(1_500_000);
    new Prng(5).fill(file);
    const fd = temporaryFile(file);
    const client = fixture.connect(a, B, port);
    const server = fixture.must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
    const [Head, Tail] = [Buffer.from('head'), Buffer.from('the tail')];
    const buffers = { Head, HeadLength: 4, Tail, TailLength: 8 };
    const start = 100_001;
    const sending = a.winsock.promises.TransmitFile(client, fd, 0, 0, buffers, 1, start);
    const total = file.length - start + 12;
    const got = await fixture.watched(receive(b, server, total), 'the file');
    const expected = Buffer.concat([Head, file.subarray(start), Tail]);
    expect(got.equals(expected)).toBe(true);
    expect(await b.winsock.promises.recv(server, new Uint8Array(1), 1, 0)).toBe(0);
    b.winsock.closesocket(server);
    expect(await fixture.watched(sending, 'TransmitFile')).toBe(total);
    const bad = a.winsock.promises.TransmitFile(client, fd, 0, 0, null, 0);
    await expect(bad).rejects.toMatchObject({ code: spi.WSAENOTCONN });
    a.winsock.closesocket(client);
    b.winsock.closesocket(listener);
    await fixture.closeClean(a, b);
  });

  it('TransmitFile without an overlapped reads on from where the file is, and knows a bad handle [XFER-17]', async () => {
    const { a, b, listener, port } = await openHosts(way);
    const fd = temporaryFile(Buffer.from('0123456789'));
    const client = fixture.connect(a, B, port);
    const server = fixture.must(b.winsock, 'accept', b.winsock.accept(listener, null, null));
    for (const text of ['0123', '4567', '89']) {
      expect(a.winsock.TransmitFile(client, fd, 4, 0, null, null, 0)).toBe(true);
      expect((await receive(b, server, text.length)).toString()).toBe(text);
    }
    expect(a.winsock.TransmitFile(client, 987_654, 4, 0, null, null, 0)).toBe(false);
    expect(a.winsock.WSAGetLastError()).toBe(spi.WSA_INVALID_HANDLE);
    a.winsock.closesocket(client);
    for (const s of [server, listener]) b.winsock.closesocket(s);
    await fixture.closeClean(a, b);
  });
});
