// Every example runs and prints what its README promises.

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { entryPoint } from '../../runtime/entry-point.js';

const readme = readFileSync(new URL('../../examples/README.md', import.meta.url), 'utf8');

function start(name: string, args: readonly string[] = []): ReturnType<typeof spawn> {
  const program = entryPoint(import.meta.url, `../../examples/${name}.js`);
  return spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}

/** What it printed, once it has ended; with its exit code. */
async function finished(child: ReturnType<typeof spawn>): Promise<[string, number | null]> {
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (more: string) => (text += more));
  const [code] = (await once(child, 'close')) as [number | null];
  return [text, code];
}

describe('the examples', () => {
  it.each(['minimal', 'rdma-transfer'])('%s prints what its README says', async (name) => {
    const [text, code] = await finished(start(name));
    expect(readme).toContain(`$ node dist/examples/${name}.js\n${text}`);
    expect(code).toBe(0);
  });

  it('echo-server and echo-client talk, and the server ends at SIGINT', async () => {
    const port = String(20_000 + (process.pid % 10_000));
    const place = ['--fabric', `echo-test-${process.pid}`, '--port', port];
    const server = start('echo-server', place);
    try {
      const ended = finished(server);
      if (server.stdout !== null) await once(server.stdout, 'data');
      const client = start('echo-client', [...place, 'Good', 'morning']);
      expect(await finished(client)).toEqual(['Good morning\n', 0]);
      server.kill('SIGINT');
      const [text, code] = await ended;
      expect(text).toContain('12 bytes echoed; SAN connections so far: 1\n');
      expect(code).toBe(0);
    } finally {
      server.kill('SIGKILL');
    }
  });
});
