// The hooks that watch, count and disturb, on a scripted provider: trace, meter, faults, and how they
// stack. The verifier has a file of its own.

import { describe, expect, it } from 'vitest';
import { faults, meter, trace } from '../../../provider/hooks/index.js';
import type { TraceEvent } from '../../../provider/hooks/index.js';
import * as spi from '../../../provider/spi/index.js';
import { FIRST_HANDLE, scripted } from './scripted.js';
import type { Scripted } from './scripted.js';

const BUFFERS = [{ len: 64, buf: new Uint8Array(64) }];

function send({ procs, errno }: Scripted, s: number, ov: spi.WSAOVERLAPPED): number {
  return procs.lpWSPSend(s, BUFFERS, 1, null, 0, ov, null, null, errno);
}

describe('trace', () => {
  it('tells calls and the upcalls inside of them as a sequence that people read', () => {
    const hook = trace();
    const one = scripted(hook);
    const s = one.open(0x101);
    send(one, s, spi.createOverlapped(5));
    expect(hook.lines()).toEqual([
      'WSPSocket(af=2, type=1, protocol=6, lpProtocolInfo=null, g=0, dwFlags=1) -> 257',
      `  WPUCreateSocketHandle(dwCatalogEntryId=0, dwContext=null) -> ${FIRST_HANDLE}`,
      'WSPSend(s=257, lpBuffers=[64], count=null, dwFlags=0, lpOverlapped=ov1 hEvent=5) -> WSA_IO_PENDING',
    ]);
  });

  it('merges equal polls, forgets the oldest, and gives every event to a sink as JSON', () => {
    const events: TraceEvent[] = [];
    const hook = trace({ limit: 4, sink: (event) => events.push({ ...event }) });
    const one = scripted(hook);
    const ov = spi.createOverlapped(5);
    for (let poll = 0; poll < 9; poll++) {
      one.procs.lpWSPGetOverlappedResult(1, ov, null, false, null, one.errno);
    }
    expect(hook.lines()).toEqual([
      'WSPGetOverlappedResult(s=1, lpOverlapped=ov1 hEvent=5, lpcbTransfer=null, fWait=false, lpdwFlags=null) -> WSA_IO_INCOMPLETE (9 times)',
    ]);
    expect(JSON.parse(JSON.stringify(events))).toHaveLength(9);
    for (let backlog = 0; backlog < 10; backlog++) one.procs.lpWSPListen(1, backlog, one.errno);
    expect(hook.lines()).toHaveLength(4);
    expect(hook.lines().at(-1)).toBe('WSPListen(s=1, backlog=9) -> ok');
  });

  it('shows a call that throws as one that did not return', () => {
    const hook = trace();
    const one = scripted(hook);
    one.script.other = () => {
      throw new Error('broken');
    };
    expect(() => one.procs.lpWSPListen(1, 2, one.errno)).toThrow('broken');
    expect(hook.lines()).toEqual(['WSPListen(s=1, backlog=2) -> did not return']);
  });
});

describe('meter', () => {
  it('counts calls, errors and bytes, and times what was pending', () => {
    const latencies: number[] = [];
    let now = 1000;
    const hook = meter({ latency: { record: (nanos) => latencies.push(nanos) } });
    const clock = { now: () => now };
    const one = scripted((inner) => hook(inner, { clock } as unknown as spi.ProviderEnvironment));
    let given = spi.createOverlapped();
    one.script.post = (ov, _buffers, errno) => {
      given = ov;
      return spi.fail(errno, spi.WSA_IO_PENDING);
    };
    const s = one.open();
    send(one, s, spi.createOverlapped(4));
    now += 250;
    one.script.upcalls.lpWPUCompleteOverlappedRequest(FIRST_HANDLE, given, 0, 64, spi.ref(0));
    one.script.other = (_call, errno) => spi.fail(errno, spi.WSAEINVAL);
    one.procs.lpWSPListen(s, 1, one.errno);
    const { calls, errors, bytesSent } = hook.reading();
    expect(calls['WSPSend']).toBe(1);
    expect(calls['WPUCompleteOverlappedRequest']).toBe(1);
    expect(errors).toEqual({ [spi.WSAEINVAL]: 1 });
    expect(bytesSent).toBe(64);
    expect(latencies).toEqual([250]);
  });
});

describe('faults', () => {
  it('fails chosen calls before they reach the provider, the same ones for the same seed', () => {
    const outcomes = [7, 7, 8].map((seed) => {
      const rule = {
        call: 'WSPListen',
        chance: [1, 3],
        kind: 'fail',
        error: spi.WSAENOBUFS,
      } as const;
      const hook = faults({ seed, rules: [rule] });
      const one = scripted(hook);
      const codes = Array.from({ length: 40 }, () => one.procs.lpWSPListen(1, 1, one.errno));
      expect(one.errno.value).toBe(spi.WSAENOBUFS);
      expect(hook.counts()[0]).toBe(codes.filter((code) => code !== 0).length);
      return codes.join();
    });
    expect(outcomes[0]).toBe(outcomes[1]);
    expect(outcomes[0]).not.toBe(outcomes[2]);
  });

  it('answers a failing call with the value of its type', () => {
    const calls = ['WSPSocket', 'WSPRegisterMemory', 'WSPGetOverlappedResult'];
    const rules = calls.map(
      (call) => ({ call, chance: [1, 1], kind: 'fail', error: spi.WSAENETDOWN }) as const,
    );
    const one = scripted(faults({ seed: 1, rules }));
    expect(one.open()).toBe(spi.INVALID_SOCKET);
    const register = one.extension('WSPRegisterMemory');
    expect(register(1, new Uint8Array(1), 1, 1, one.errno)).toBe(0);
    const { procs, errno } = one;
    expect(procs.lpWSPGetOverlappedResult(1, null, null, false, null, errno)).toBe(false);
  });

  it('tells completions later, all of them before the handle is given back [CLOSE-03]', () => {
    const call = 'WPUCompleteOverlappedRequest';
    const hook = faults({ seed: 1, rules: [{ call, chance: [1, 1], kind: 'delay', turns: 3 }] });
    const one = scripted(hook);
    const told: string[] = [];
    one.outer.lpWPUCompleteOverlappedRequest = () => told.push('complete');
    one.outer.lpWPUCloseSocketHandle = () => told.push('close');
    const { upcalls } = one.script;
    upcalls.lpWPUCompleteOverlappedRequest(1, spi.createOverlapped(), 0, 0, spi.ref(0));
    for (let turn = 0; turn < 2; turn++) one.procs.lpWSPListen(1, 1, one.errno);
    expect(told).toEqual([]);
    one.procs.lpWSPListen(1, 1, one.errno);
    expect(told).toEqual(['complete']);
    upcalls.lpWPUCompleteOverlappedRequest(1, spi.createOverlapped(), 0, 0, spi.ref(0));
    upcalls.lpWPUCloseSocketHandle(1, spi.ref(0));
    expect(told).toEqual(['complete', 'complete', 'close']);
  });

  it('tells of fewer bytes than were moved', () => {
    const call = 'WPUCompleteOverlappedRequest';
    const one = scripted(faults({ seed: 1, rules: [{ call, chance: [1, 1], kind: 'short' }] }));
    const ov = spi.createOverlapped();
    one.script.upcalls.lpWPUCompleteOverlappedRequest(1, ov, 0, 64, spi.ref(0));
    expect(ov.InternalHigh).toBe(32);
  });
});

describe('hooks in a stack', () => {
  it('see what the ones below let through, the first one innermost', () => {
    const below = trace();
    const above = trace();
    const rule = {
      call: 'WSPListen',
      chance: [1, 1],
      kind: 'fail',
      error: spi.WSAENOBUFS,
    } as const;
    const middle = faults({ seed: 1, rules: [rule] });
    const one = scripted((inner) => above(middle(below(inner))));
    one.procs.lpWSPListen(1, 1, one.errno);
    expect(below.lines()).toEqual([]);
    expect(above.lines()).toEqual(['WSPListen(s=1, backlog=1) -> WSAENOBUFS']);
  });

  it('hand out the same extension function for the same one', () => {
    const one = scripted(trace());
    expect(one.extension('WSPRdmaWrite')).toBe(one.extension('WSPRdmaWrite'));
  });
});
