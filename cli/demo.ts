// `wsd demo`, which is `npm start`: a file goes to a second process through the SAN provider and is
// verified there; then both NIC engines are measured beside kernel TCP and the machine's floors.

import { closeSync, fstatSync, openSync } from 'node:fs';
import { sweepFabrics } from '../bench/machine.js';
import { PeerProcess } from '../bench/peer-process.js';
import { columns } from '../bench/report.js';
import { demoTable } from './demo-table.js';
import type { TransferOutcome } from './demo-transfer.js';
import { sendFile } from './demo-transfer.js';
import { CommandFailure, UsageError } from './errors.js';
import type { HostArguments, HostPlans } from './host-arguments.js';
import { hostPlans } from './host-arguments.js';

export interface DemoArguments extends HostArguments {
  readonly repeat: number;
  readonly progress: 'auto' | 'lines' | 'off';
  readonly table: boolean;
  /** The contract verifier on both sides. */
  readonly verify: boolean;
}

const MIB = 1024 * 1024;

/** Throws UsageError, CommandFailure, Interrupted, and what the transfer throws. */
export async function demoCommand(
  file: string,
  options: DemoArguments,
  signal: AbortSignal,
): Promise<void> {
  const { verify } = options;
  const { host, peerHost } = await hostPlans(options, 'demo');
  const plans = { host: { ...host, verify }, peerHost: { ...peerHost, verify } };
  const fd = openFile(file);
  try {
    const peer = new PeerProcess();
    try {
      await transfer(peer, { file, fd, plans, options }, signal);
      if (options.table) {
        const rows = await demoTable(peer, plans, options.quick, signal);
        print('', 'measured in this run, two processes:', '', ...columns(rows));
      }
    } finally {
      await peer.stop();
      // What a killed peer has left; what others left went when the hosts were opened.
      sweepFabrics();
    }
  } finally {
    closeSync(fd);
  }
}

interface DemoTransfer {
  readonly file: string;
  readonly fd: number;
  readonly plans: HostPlans;
  readonly options: DemoArguments;
}

async function transfer(peer: PeerProcess, demo: DemoTransfer, signal: AbortSignal): Promise<void> {
  const { file, fd, plans, options } = demo;
  const { host, peerHost } = plans;
  const bytes = fstatSync(fd).size;
  const times = options.repeat === 1 ? '' : `, ${options.repeat} times`;
  print(
    `fabric ${host.fabric}: ${host.address} (process ${process.pid}) to ${peerHost.address} (process ${peer.pid})`,
    `sending ${file}, ${mebibytes(bytes)}${times}`,
  );
  const begin = performance.now();
  const progress = showProgress(options.progress);
  const plan = {
    host,
    peerHost,
    file: { fd, bytes },
    repeat: options.repeat,
    sent: (done: number, total: number) => progress.show(done, total),
  };
  const outcome = await sendFile(peer, plan, signal);
  progress.clear();
  verify(outcome, options);
  const elapsed = (performance.now() - begin) / 1000;
  const rate = (outcome.bytes / 1e6 / elapsed).toFixed(0);
  print(
    `verified: ${mebibytes(outcome.bytes)} in ${elapsed.toFixed(2)} s, ${rate} MB/s with reading and SHA-256 on both sides, NIC ${outcome.engine}`,
    `SHA-256 sent      ${outcome.digest}`,
    `SHA-256 received  ${outcome.received.digest}`,
    '',
    ...columns(pathRows(outcome)),
  );
}

/** Throws CommandFailure when the far end has something else, or got it by the wrong way. */
function verify(outcome: TransferOutcome, options: DemoArguments): void {
  const { received, statistics } = outcome;
  if (received.bytes !== outcome.bytes || received.digest !== outcome.digest) {
    throw new CommandFailure(
      `the far end received something else: ${received.bytes} of ${outcome.bytes} bytes, SHA-256 ${received.digest}`,
    );
  }
  if (options.provider === undefined && statistics.sanConnections === 0) {
    throw new CommandFailure('the connection fell back to TCP/IP instead of the SAN provider');
  }
}

function pathRows({ statistics: sent, received }: TransferOutcome): string[][] {
  const { statistics: got } = received;
  return [
    ['path of the bytes', 'sent', 'received'],
    ['in messages', String(sent.messageBytesSent), String(got.messageBytesReceived)],
    ['by RDMA', String(sent.rdmaBytesSent), String(got.rdmaBytesReceived)],
    ['by TCP/IP', String(sent.tcpBytesSent), String(got.tcpBytesReceived)],
    ['messages', String(sent.messagesSent), String(got.messagesReceived)],
    ['SAN connections', String(sent.sanConnections), String(got.sanConnections)],
    ['TCP/IP connections', String(sent.tcpConnections), String(got.tcpConnections)],
  ];
}

interface ProgressDisplay {
  show(bytes: number, total: number): void;
  clear(): void;
}

function showProgress(how: DemoArguments['progress']): ProgressDisplay {
  const isBar = how === 'auto' && process.stdout.isTTY;
  if (!isBar && how !== 'lines') return { show: () => undefined, clear: () => undefined };
  let shown = -1;
  return {
    show: (bytes, total) => {
      const percent = Math.floor((100 * bytes) / total);
      if (percent === shown) return;
      shown = percent;
      process.stdout.write(isBar ? `\r${percent} %` : `${percent} %\n`);
    },
    clear: () => {
      if (isBar) process.stdout.write('\r\x1b[K');
    },
  };
}

/** Throws UsageError for what cannot be read or is no file. */
function openFile(file: string): number {
  let fd: number;
  try {
    fd = openSync(file, 'r');
  } catch (thrown) {
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    throw new UsageError(`${file} cannot be read: ${why}`, { cause: thrown });
  }
  const status = fstatSync(fd);
  if (status.isFile() && status.size > 0) return fd;
  closeSync(fd);
  throw new UsageError(`${file} is ${status.isFile() ? 'empty' : 'not a file'}`);
}

function mebibytes(bytes: number): string {
  return bytes < MIB ? `${bytes} bytes` : `${(bytes / MIB).toFixed(1)} MiB`;
}

function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}
