// The reactor: dispatch, removal during dispatch, nesting, timeouts, and the event loop's watch
// on it.

import { describe, expect, it } from 'vitest';
import { milliseconds } from '../../runtime/clock.js';
import { errno } from '../../native/errors.js';
import { EventSignal } from '../../native/event-signal.js';
import { native } from '../../native/load.js';
import { EPOLLERR, EPOLLIN, EPOLLOUT, Reactor } from '../../native/reactor.js';
import { OwnerPipe, PeerPipe } from '../../native/wake-pipe.js';
import { atEnd, scratchDirectory, until } from './helpers.js';

function reactorWithSignals(count: number): { reactor: Reactor; signals: EventSignal[] } {
  const reactor = new Reactor();
  const signals = Array.from({ length: count }, () => new EventSignal());
  atEnd(() => {
    for (const signal of signals) signal.close();
    reactor.close();
  });
  return { reactor, signals };
}

const nothing = (): void => undefined;

describe('a reactor', () => {
  it('calls the handler of a ready descriptor with its events, until that is read', () => {
    const {
      reactor,
      signals: [signal = new EventSignal()],
    } = reactorWithSignals(1);
    const seen: number[] = [];
    const token = reactor.watch(signal.fd, EPOLLIN, (events) => {
      seen.push(events);
    });
    expect(reactor.poll(0)).toBe(0);
    signal.signal();
    expect([reactor.poll(0), reactor.poll(Infinity)]).toEqual([1, 1]);
    signal.clear();
    expect(reactor.poll(0)).toBe(0);
    reactor.change(token, EPOLLIN | EPOLLOUT);
    expect(reactor.poll(0)).toBe(1);
    expect(seen).toEqual([EPOLLIN, EPOLLIN, EPOLLOUT]);
    reactor.unwatch(token);
    expect([reactor.poll(0), reactor.watchCount]).toEqual([0, 0]);
    expect(() => {
      reactor.unwatch(token);
    }).toThrow(RangeError);
    expect(() => reactor.watch(-1, EPOLLIN, nothing)).toThrow('EBADF');
    expect(reactor.watchCount).toBe(0);
  });

  it('does not call a handler that was removed during the dispatch, nor one that took its place', () => {
    const { reactor, signals } = reactorWithSignals(3);
    const [first, second, third] = signals as [EventSignal, EventSignal, EventSignal];
    const called: string[] = [];
    const others = new Map<string, number>();
    const handler = (name: string, other: string, fd: number) => (): void => {
      called.push(name);
      const token = others.get(other);
      if (token === undefined) return;
      others.delete(name);
      others.delete(other);
      reactor.unwatch(token);
      reactor.watch(fd, EPOLLIN, () => {
        called.push('third');
      });
    };
    others.set('first', reactor.watch(first.fd, EPOLLIN, handler('first', 'second', third.fd)));
    others.set('second', reactor.watch(second.fd, EPOLLIN, handler('second', 'first', third.fd)));
    first.signal();
    second.signal();
    expect(reactor.poll(0)).toBe(1);
    expect(called.length).toBe(1);
  });

  it('may be polled from within a handler', () => {
    const { reactor, signals } = reactorWithSignals(2);
    const [outer, inner] = signals as [EventSignal, EventSignal];
    const order: string[] = [];
    reactor.watch(outer.fd, EPOLLIN, () => {
      outer.clear();
      order.push('outer');
      inner.signal();
      reactor.poll(0);
      order.push('outer again');
    });
    reactor.watch(inner.fd, EPOLLIN, () => {
      inner.clear();
      order.push('inner');
    });
    outer.signal();
    expect(reactor.poll(0)).toBe(1);
    expect(order).toEqual(['outer', 'inner', 'outer again']);
  });

  it('waits at least as long as asked for, to the fraction of a millisecond', () => {
    const { reactor } = reactorWithSignals(0);
    const start = native.now();
    expect(reactor.poll(milliseconds(1.5))).toBe(0);
    expect(native.now() - start).toBeGreaterThanOrEqual(milliseconds(1.5));
  });

  it("reports the death of a pipe's owner to a peer that asked for nothing else", () => {
    const { reactor } = reactorWithSignals(0);
    const path = `${scratchDirectory()}/one.wake`;
    const owner = OwnerPipe.create(path);
    const peer = PeerPipe.open(path);
    if (peer === null) throw new Error('the owner is alive');
    let events = 0;
    const token = reactor.watch(peer.fd, EPOLLERR, (seen) => {
      events = seen;
    });
    expect(reactor.poll(0)).toBe(0);
    owner.close();
    expect(reactor.poll(0)).toBe(1);
    expect(events & EPOLLERR).toBe(EPOLLERR);
    reactor.unwatch(token);
    peer.close();
  });
});

describe('the event loop', () => {
  it('is woken by what the reactor watches, and by nothing after close', async () => {
    const {
      reactor,
      signals: [signal = new EventSignal()],
    } = reactorWithSignals(1);
    let handled = 0;
    reactor.watch(signal.fd, EPOLLIN, () => {
      signal.clear();
      handled++;
    });
    let callbacks = 0;
    const attachment = reactor.attachToEventLoop(() => {
      callbacks++;
      reactor.poll(0);
    });
    signal.signal();
    await until(() => handled === 1, 'the first wake');
    attachment.unref();
    signal.signal();
    await until(() => handled === 2, 'the second wake');
    attachment.close();
    attachment.close();
    attachment.ref();
    const before = callbacks;
    signal.signal();
    await new Promise((resolve) => {
      setImmediate(resolve);
    });
    expect(callbacks).toBe(before);
    expect(reactor.poll(0)).toBe(1);
  });

  it('cannot watch what is no descriptor, and methods of a watcher on something else do nothing', () => {
    expect(native.watch(-1, nothing)).toBe(-errno.EBADF);
    const {
      signals: [signal = new EventSignal()],
    } = reactorWithSignals(1);
    const watcher = native.watch(signal.fd, nothing);
    if (typeof watcher === 'number') throw new Error('watching failed');
    expect(() => {
      watcher.start.call({} as never);
    }).not.toThrow();
    watcher.stop();
    watcher.start();
    watcher.start();
    watcher.stop();
    watcher.close();
    watcher.start();
    watcher.stop();
  });
});
