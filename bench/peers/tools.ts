// Other people's benchmarks as peers: found on the path, both sides of each started on the cores that ours
// are pinned to, ended by their ids, their output parsed. A tool that is not installed is no error.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import path from 'node:path';
import { pinnedCores } from '../machine.js';
import type { ToolFigures } from './parsers.js';
import {
  parseFiPingpong,
  parseIperf3,
  parseSockperf,
  parseUcxPerftest,
  ToolOutputError,
} from './parsers.js';

export interface ToolRun {
  readonly bytes: number;
  readonly iterations: number;
}

export interface Tool {
  readonly name: string;
  readonly title: string;
  readonly program: string;
  /** What its figure is about. */
  readonly test: 'lat' | 'bw' | 'rate';
  server(port: number, run: ToolRun): readonly string[];
  client(port: number, run: ToolRun): readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  parse(text: string, run: ToolRun): ToolFigures;
}

const LOOPBACK = '127.0.0.1';
/** A tool that measures by time measures this long. */
const SECONDS = '1';

const fiArguments = ({ bytes, iterations }: ToolRun, port: number, side: 'B' | 'P'): string[] => [
  ...['-p', 'shm', '-e', 'rdm', '-I', String(iterations), '-S', String(bytes)],
  ...[`-${side}`, String(port)],
];

const ucx = (test: 'tag_lat' | 'tag_bw', of: Tool['test']): Tool => ({
  name: `ucx.${test === 'tag_lat' ? 'latency' : of === 'rate' ? 'rate' : 'bandwidth'}`,
  title: `UCX over POSIX shared memory: ucx_perftest ${test}`,
  program: 'ucx_perftest',
  test: of,
  environment: { UCX_TLS: 'posix,cma,self', UCX_WARN_UNUSED_ENV_VARS: 'n' },
  server: (port) => ['-p', String(port)],
  client: (port, { bytes, iterations }) => [
    ...['-p', String(port), '-t', test, '-s', String(bytes), '-n', String(iterations)],
    LOOPBACK,
  ],
  parse: (text) => parseUcxPerftest(text),
});

const fi = (of: 'lat' | 'bw'): Tool => ({
  name: `libfabric.${of === 'lat' ? 'latency' : 'bandwidth'}`,
  title: 'libfabric shm: fi_pingpong',
  program: 'fi_pingpong',
  test: of,
  server: (port, run) => fiArguments(run, port, 'B'),
  client: (port, run) => [...fiArguments(run, port, 'P'), LOOPBACK],
  parse: (text, { bytes }) => parseFiPingpong(text, bytes),
});

export const TOOLS: readonly Tool[] = [
  ucx('tag_lat', 'lat'),
  ucx('tag_bw', 'bw'),
  ucx('tag_bw', 'rate'),
  fi('lat'),
  fi('bw'),
  {
    name: 'sockperf.latency',
    title: 'kernel TCP: sockperf ping-pong',
    program: 'sockperf',
    test: 'lat',
    server: (port) => ['sr', '--tcp', '-i', LOOPBACK, '-p', String(port)],
    client: (port, { bytes }) => [
      ...['pp', '--tcp', '-i', LOOPBACK, '-p', String(port), '-t', SECONDS],
      // Its own header is 14 bytes.
      ...['-m', String(Math.max(14, bytes))],
    ],
    parse: (text) => parseSockperf(text),
  },
  {
    name: 'iperf3.bandwidth',
    title: 'kernel TCP: iperf3',
    program: 'iperf3',
    test: 'bw',
    server: (port) => ['-s', '-1', '-B', LOOPBACK, '-p', String(port)],
    client: (port, { bytes }) => [
      ...['-c', LOOPBACK, '-p', String(port), '-J', '-t', SECONDS, '-l', String(bytes)],
    ],
    parse: (text) => parseIperf3(text),
  },
];

/** The program's file, or null when it is not on the path. */
export function findProgram(name: string, folders = process.env['PATH'] ?? ''): string | null {
  for (const folder of folders.split(path.delimiter)) {
    if (folder === '') continue;
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      continue;
    }
  }
  return null;
}

/** A run that has not ended after this long is ended. */
const PATIENCE_MS = 60_000;
/** A server may need a while until it listens: its client is started again until then. */
const RETRY_MS = 150;
const TRIES = 20;

/** Runs both sides of a tool once. Throws ToolOutputError with what the client printed. */
export async function runTool(tool: Tool, run: ToolRun): Promise<ToolFigures> {
  const port = await freePort();
  const server = start(tool, 1, tool.server(port, run));
  // What it prints must not fill its pipe.
  server.stdout?.resume();
  server.stderr?.resume();
  try {
    let text = '';
    for (let attempt = 0; attempt < TRIES; attempt++) {
      await new Promise((resolve) => {
        setTimeout(resolve, RETRY_MS);
      });
      const ended = await runToEnd(start(tool, 0, tool.client(port, run)));
      text = ended.text;
      if (ended.code !== 0) continue;
      return tool.parse(text, run);
    }
    throw new ToolOutputError(`${tool.program} does not run: ${text.trim().slice(-200)}`);
  } finally {
    server.kill('SIGKILL');
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  }
}

function start(tool: Tool, side: 0 | 1, args: readonly string[]): ChildProcess {
  const core = pinnedCores()?.[side];
  const taskset = core === undefined ? null : findProgram('taskset');
  const line = taskset === null ? [] : [taskset, '-c', String(core)];
  const [program = tool.program, ...rest] = [...line, tool.program, ...args];
  return spawn(program, rest, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...tool.environment },
  });
}

async function runToEnd(child: ChildProcess): Promise<{ code: number | null; text: string }> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => (text += piece));
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return { code, text };
  } finally {
    clearTimeout(timer);
  }
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, LOOPBACK);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** How many iterations a tool needs for about a tenth of a second and more. */
export function toolIterations(test: Tool['test'], bytes: number): number {
  if (test === 'lat') return Math.max(100, Math.min(20_000, Math.floor(2 ** 30 / bytes)));
  return Math.max(100, Math.min(1_000_000, Math.floor(2 ** 30 / bytes)));
}
