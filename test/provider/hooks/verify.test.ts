// The contract verifier, stop by stop: a scripted provider or its caller does one thing wrong. The stops
// that mutants of the reference provider provoke are shown in test/conformance.test.ts.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { StopCode, VerifyHook, Violation } from '../../../provider/hooks/index.js';
import { reportOf, STOPS, verify, VerifierStop } from '../../../provider/hooks/index.js';
import * as spi from '../../../provider/spi/index.js';
import { MUTANTS } from '../../conformance/self/mutants.js';
import type { Scripted } from './scripted.js';
import { FIRST_HANDLE, scripted } from './scripted.js';

const NOBODY = spi.ref(0);

interface Scene extends Scripted {
  readonly hook: VerifyHook;
  readonly s: number;
  readonly buf: Uint8Array;
  readonly handle: number;
  readonly codes: () => StopCode[];
  readonly send: (overlapped: spi.WSAOVERLAPPED, bytes?: Uint8Array) => number;
  readonly receive: (overlapped: spi.WSAOVERLAPPED, bytes?: Uint8Array) => number;
}

/** A scripted provider in a verifier, with a socket and a registered buffer of 64 bytes. */
const DEPTH = { sends: 4, receives: 3 };

function scene(hook = verify({ onViolation: () => undefined, depth: DEPTH })): Scene {
  const one = scripted(hook);
  const s = one.open();
  const buf = new Uint8Array(new ArrayBuffer(64)).fill(1);
  const register = one.extension('WSPRegisterMemory');
  const handle = register(s, buf, 64, spi.MEM_READWRITE, one.errno);
  const { procs, errno } = one;
  const list = (bytes: Uint8Array): spi.WSABUF[] => [{ len: bytes.length || 64, buf: bytes }];
  return {
    ...one,
    hook,
    s,
    buf,
    handle,
    codes: () => hook.violations().map(({ code }) => code),
    send: (ov, bytes = buf) => procs.lpWSPSend(s, list(bytes), 1, null, 0, ov, null, null, errno),
    receive: (ov, bytes = buf) =>
      procs.lpWSPRecv(s, list(bytes), 1, null, null, ov, null, null, errno),
  };
}

function complete({ script }: Scene, ov: spi.WSAOVERLAPPED, error: number, bytes: number): void {
  script.upcalls.lpWPUCompleteOverlappedRequest(FIRST_HANDLE, ov, error, bytes, NOBODY);
}

/** Posts a send whose WSAOVERLAPPED, as the provider has it, is kept. */
function posted(one: Scene, hEvent: number): spi.WSAOVERLAPPED {
  let given = spi.createOverlapped();
  const { post } = one.script;
  one.script.post = (overlapped, ...rest) => {
    given = overlapped;
    return post(overlapped, ...rest);
  };
  one.send(spi.createOverlapped(hEvent));
  one.script.post = post;
  return given;
}

/** What is done wrong, and the stop for it. */
const WRONGS: Readonly<Partial<Record<StopCode, (one: Scene) => void>>> = {
  COMPLETED_UNKNOWN: (one) => complete(one, spi.createOverlapped(), 0, 0),
  COMPLETED_FAILED_CALL: (one) => {
    one.script.post = (ov, _buffers, errno) => {
      complete(one, ov, spi.WSAENOBUFS, 0);
      return spi.fail(errno, spi.WSAENOBUFS);
    };
    one.send(spi.createOverlapped(4));
  },
  NOTIFIED_IMMEDIATE: (one) => {
    one.script.post = (ov) => {
      complete(one, ov, 0, 64);
      return 0;
    };
    one.send(spi.createOverlapped(4));
  },
  INTERNAL_WITHOUT_UPCALL: (one) => {
    const ov = posted(one, 4);
    ov.InternalHigh = 64;
    ov.Internal = 0;
  },
  TOUCHED_AFTER_COMPLETION: (one) => {
    const ov = posted(one, 4);
    complete(one, ov, 0, 64);
    ov.Offset = 7;
  },
  PUBLISHED_EARLY: (one) => {
    const ov = posted(one, 5);
    ov.InternalHigh = 64;
    ov.Internal = 0;
    ov.OffsetHigh = 0;
  },
  BYTE_COUNT: (one) => complete(one, posted(one, 4), 0, 63),
  RESULT_BEFORE_COMPLETION: (one) => {
    const ov = spi.createOverlapped(5);
    one.send(ov);
    one.script.result = () => true;
    one.procs.lpWSPGetOverlappedResult(one.s, ov, null, false, null, one.errno);
  },
  UNKNOWN_HANDLE_ACCEPTED: (one) =>
    void one.extension('WSPDeregisterMemory')(one.s, one.handle + 1, one.errno),
  STALE_MAPPING: (one) => {
    const ov = posted(one, 4);
    one.hook.memoryFreed(one.buf);
    complete(one, ov, 0, 64);
  },
  NO_HANDLE: (one) => {
    one.script.upcalls = { ...one.script.upcalls, lpWPUCreateSocketHandle: () => 1 };
    one.open(0x102);
  },
  UNKNOWN_HANDLE_IN_UPCALL: ({ script }) =>
    void script.upcalls.lpWPUCloseSocketHandle(0x5555, NOBODY),
  GAVE_UP_OPEN_SOCKET: ({ script }) =>
    void script.upcalls.lpWPUCloseSocketHandle(FIRST_HANDLE, NOBODY),
  DESCRIPTOR_REUSED: (one) => void one.open(one.s),
  CALL_AFTER_CLOSE: ({ procs, s, errno }) => {
    procs.lpWSPCloseSocket(s, errno);
    procs.lpWSPListen(s, 1, errno);
  },
  HANDLE_IN_CALL: ({ procs, errno }) => void procs.lpWSPListen(FIRST_HANDLE, 1, errno),
  OVERLAPPED_REUSED: (one) => {
    const ov = spi.createOverlapped(4);
    one.send(ov);
    one.send(ov);
  },
  EVENT_CHANGED: (one) => {
    let given = spi.createOverlapped();
    const real = spi.createOverlapped(4);
    one.script.post = (ov, _buffers, errno) => {
      given = ov;
      return spi.fail(errno, spi.WSA_IO_PENDING);
    };
    one.send(real);
    real.hEvent = 8;
    complete(one, given, 0, 64);
  },
  UNREGISTERED_BUFFER: (one) => void one.send(spi.createOverlapped(4), new Uint8Array(8)),
  FREED_WHILE_REGISTERED: (one) => {
    one.hook.memoryFreed(one.buf);
    one.send(spi.createOverlapped(4));
  },
  BEYOND_DEPTH: ({ script, send }) => {
    script.post = (_ov, _buffers, errno) => spi.fail(errno, spi.WSA_IO_PENDING);
    for (let count = 0; count <= DEPTH.sends; count++) send(spi.createOverlapped(5));
  },
  BAD_SEND: ({ procs, s, errno }) =>
    void procs.lpWSPSend(s, [], 0, null, 0, null, null, null, errno),
};

/** Two scripted providers in one verifier, connected: the right one has accepted the left one. */
function pair(): { readonly left: Scene; readonly right: Scene; readonly b: number } {
  const left = scene();
  const right = scene(left.hook);
  const [from, to] = [spi.sockaddrIn('127.1.0.1', 5000), spi.sockaddrIn('127.1.0.2', 6000)];
  left.procs.lpWSPBind(left.s, from, 16, left.errno);
  left.procs.lpWSPConnect(left.s, to, 16, null, null, null, null, left.errno);
  right.script.accept = (_s, _addr, _len, condition, _data, errno) => {
    const caller = { len: 16, buf: from };
    const callee = { len: 16, buf: to };
    condition?.(caller, null, null, null, callee, null, null, null);
    right.script.upcalls.lpWPUCreateSocketHandle(0, null, errno);
    return 0x900;
  };
  const accept = (): number => spi.CF_ACCEPT;
  const b = right.procs.lpWSPAccept(right.s, null, null, accept, null, right.errno);
  right.extension('WSPRegisterMemory')(b, right.buf, 64, spi.MEM_READWRITE, right.errno);
  return { left, right, b };
}

function receiveAt({ right, b }: ReturnType<typeof pair>, bytes: Uint8Array): spi.WSAOVERLAPPED {
  let given = spi.createOverlapped();
  const { post } = right.script;
  right.script.post = (ov, _buffers, errno) => {
    given = ov;
    return spi.fail(errno, spi.WSA_IO_PENDING);
  };
  const list = [{ len: bytes.length, buf: bytes }];
  const { procs, errno } = right;
  procs.lpWSPRecv(b, list, 1, null, null, spi.createOverlapped(5), null, null, errno);
  right.script.post = post;
  return given;
}

function publish(overlapped: spi.WSAOVERLAPPED, bytes: number): void {
  overlapped.InternalHigh = bytes;
  overlapped.Internal = 0;
}

const WRONGS_OF_TWO: Readonly<Partial<Record<StopCode, (two: ReturnType<typeof pair>) => void>>> = {
  DATA_ORDER: (two) => {
    const { left } = two;
    const ov = receiveAt(two, two.right.buf);
    left.send(spi.createOverlapped(5), left.buf.subarray(0, 10));
    publish(ov, 20);
  },
  DATA_CHANGED: (two) => {
    const { left, right } = two;
    const ov = receiveAt(two, right.buf);
    left.send(spi.createOverlapped(5));
    right.buf.fill(2);
    publish(ov, 64);
  },
  BUFFER_CHANGED: ({ left }) => {
    const ov = posted(left, 5);
    left.buf.fill(9);
    publish(ov, 64);
  },
  BEYOND_CREDITS: ({ left }) => {
    left.send(spi.createOverlapped(5));
    left.send(spi.createOverlapped(5));
  },
  EXPOSURE_FOREIGN: ({ left }) => {
    left.script.post = () => 0;
    const buffers = [{ len: 64, buf: left.buf, handle: left.handle }];
    const write = left.extension('WSPRdmaWrite');
    const [descriptor, count] = [new Uint8Array(8).fill(3), spi.ref(64)];
    const ov = spi.createOverlapped(5);
    write(left.s, buffers, 1, descriptor, 8, 0, count, 0, ov, null, null, left.errno);
  },
  EXPOSURE_RANGE: (two) => {
    const { left, right, b } = two;
    const block = new Uint8Array(8);
    const expose = right.extension('WSPRegisterRdmaMemory');
    expose(b, right.buf, 64, spi.MEM_WRITE, block, spi.ref(8), right.errno);
    left.script.post = () => 0;
    const buffers = [{ len: 64, buf: left.buf, handle: left.handle }];
    const write = left.extension('WSPRdmaWrite');
    const ov = spi.createOverlapped(5);
    write(left.s, buffers, 1, block, 8, 1, spi.ref(64), 0, ov, null, null, left.errno);
  },
};

const both = (table: object): StopCode[] => Object.keys(table) as StopCode[];

describe('the verifier', () => {
  it.each(both(WRONGS))(
    'stops with %s, and names party, clauses, place and last events',
    (code) => {
      const one = scene();
      WRONGS[code]?.(one);
      expect(one.codes()).toContain(code);
      const violation = one.hook.violations().find((found) => found.code === code) as Violation;
      expect(violation.party).toBe(STOPS[code].party);
      expect(violation.clauses.length).toBeGreaterThan(0);
      expect(violation.stack).toContain('verify.test');
      expect(reportOf(violation)).toContain(`STOP ${code} (${violation.party})`);
    },
  );

  it.each(both(WRONGS_OF_TWO))('stops with %s, seeing both ends', (code) => {
    const two = pair();
    WRONGS_OF_TWO[code]?.(two);
    expect(two.left.codes()).toContain(code);
  });

  it('has every stop shown by a test, here or by a mutant', () => {
    const byMutants = MUTANTS.flatMap(({ caughtBy }) => caughtBy.stops ?? []);
    const shown = new Set([...both(WRONGS), ...both(WRONGS_OF_TWO), ...byMutants]);
    const nested: readonly StopCode[] = ['CLOSED_INSIDE_UPCALL', 'RECURSION'];
    expect(both(STOPS).filter((code) => !shown.has(code))).toEqual(nested);
  });

  it('throws the stop through whoever broke the contract, unless it is told otherwise', () => {
    const one = scene(verify());
    expect(() => one.send(spi.createOverlapped(4), new Uint8Array(8))).toThrow(VerifierStop);
  });

  it('finds nothing in a correct exchange, and tolerates what it is told to', () => {
    const two = pair();
    const into = receiveAt(two, two.right.buf);
    const ov = posted(two.left, 4);
    publish(into, 64);
    complete(two.left, ov, 0, 64);
    expect(two.left.codes()).toEqual([]);
    const tolerant = scene(verify({ tolerate: ['BAD_SEND'] }));
    WRONGS.BAD_SEND?.(tolerant);
    expect(tolerant.codes()).toEqual([]);
  });

  it('counts receives apart from sends, and only what is in progress [IMPL-01]', () => {
    const one = scene();
    const first = posted(one, 4);
    one.script.post = (_ov, _buffers, errno) => spi.fail(errno, spi.WSA_IO_PENDING);
    for (let count = 1; count < DEPTH.sends; count++) one.send(spi.createOverlapped(5));
    for (let count = 0; count < DEPTH.receives; count++) one.receive(spi.createOverlapped(5));
    complete(one, first, 0, 64);
    one.send(spi.createOverlapped(5));
    expect(one.codes()).not.toContain('BEYOND_DEPTH');
    one.receive(spi.createOverlapped(5));
    expect(one.codes()).toContain('BEYOND_DEPTH');
  });

  it('says of a stale mapping where it was registered and where it was freed [MEM-05 CACHE-02]', () => {
    const one = scene();
    one.hook.memoryFreed(one.buf.subarray(60));
    one.send(spi.createOverlapped(4));
    const [violation] = one.hook.violations();
    expect(violation?.code).toBe('FREED_WHILE_REGISTERED');
    expect(violation?.places.map(({ what }) => what)).toEqual(['registered here', 'freed here']);
    for (const { stack } of violation?.places ?? []) expect(stack).toContain('verify.test');
  });

  it('notices memory that was transferred away behind a registration [MEM-05 CACHE-02]', () => {
    const one = scene();
    const ov = posted(one, 5);
    structuredClone(one.buf.buffer, { transfer: [one.buf.buffer as ArrayBuffer] });
    publish(ov, 64);
    expect(one.codes()).toContain('STALE_MAPPING');
  });

  it('takes memory that was freed and registered again for new', () => {
    const one = scene();
    one.hook.memoryFreed(one.buf);
    one.script.register = 10;
    one.extension('WSPRegisterMemory')(one.s, one.buf, 64, spi.MEM_READWRITE, one.errno);
    complete(one, posted(one, 4), 0, 64);
    expect(one.codes()).toEqual([]);
  });

  it('stops a handle given back inside of an upcall, and upcalls nested without end [CLOSE-03]', () => {
    const hook = verify({ onViolation: () => undefined });
    const one = scene(hook);
    let depth = 0;
    one.outer.lpWPUCompleteOverlappedRequest = () => {
      if (depth++ === 0) one.script.upcalls.lpWPUCloseSocketHandle(FIRST_HANDLE, NOBODY);
      if (depth < 250) complete(one, spi.createOverlapped(), 0, 0);
      return 0;
    };
    complete(one, posted(one, 4), 0, 64);
    expect(one.codes()).toEqual(expect.arrayContaining(['CLOSED_INSIDE_UPCALL', 'RECURSION']));
  });
});

describe('docs/verifier.md', () => {
  const text = readFileSync(new URL('../../../docs/verifier.md', import.meta.url), 'utf8');

  it('lists every stop with its party, its clauses and its meaning, and no other', () => {
    for (const code of both(STOPS)) {
      const { party, clauses, meaning } = STOPS[code];
      expect(text).toContain(`| \`${code}\` | ${party} | ${clauses.join(', ')} | ${meaning} |`);
    }
    expect(text.match(/^\| `[A-Z_]+` \|/gm)).toHaveLength(both(STOPS).length);
  });
});
