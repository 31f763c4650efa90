// Takes over what its test has duplicated for it and uses it: says what it finds, and ends. Its plan is
// the host; lines on standard input are tasks.

import { createInterface } from 'node:readline';
import { startWinsock } from '../../../examples/helpers.js';
import { openHost } from '../../../index.js';
import type { HostOptions } from '../../../index.js';
import * as spi from '../../../provider/spi/index.js';
import { namesOf } from '../names.js';
import { plan, say } from './talk.js';

export interface DuplicateTask {
  readonly info: spi.WSAPROTOCOL_INFO;
  /** 'accept' a connection first; 'take' only looks. */
  readonly use: 'echo' | 'accept' | 'take' | 'end';
}

const host = await openHost(plan() as HostOptions);
const winsock = startWinsock(host);

/** Sends back what comes, once, with the process that did it. */
function echo(s: number): void {
  const bytes = new Uint8Array(64);
  const count = winsock.recv(s, bytes, bytes.length, 0);
  if (count > 0) winsock.send(s, bytes, count, 0);
}

function carryOut({ info, use }: DuplicateTask): void {
  const from = spi.FROM_PROTOCOL_INFO;
  const s = winsock.WSASocket(from, from, from, info, 0, spi.WSA_FLAG_OVERLAPPED);
  if (s === spi.INVALID_SOCKET) {
    say({ error: winsock.WSAGetLastError() });
    return;
  }
  say({ error: 0, ...namesOf(winsock, s) });
  if (use === 'echo') echo(s);
  if (use === 'accept') {
    const accepted = winsock.accept(s, null, null);
    echo(accepted);
    winsock.closesocket(accepted);
  }
  winsock.closesocket(s);
  say({ closed: true });
}

for await (const line of createInterface({ input: process.stdin })) {
  const task = JSON.parse(line) as DuplicateTask;
  if (task.use === 'end') break;
  carryOut(task);
}
await winsock.promises.WSACleanup();
await host.close();
process.stdin.destroy();
