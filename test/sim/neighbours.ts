// What the processes of a simulated machine leave for each other and say to each other: handover records,
// and control channels whose messages come in turns of the loop. In memory, so that nothing differs
// between machines. It must not know what is said.

import type { HandoverStore } from '../../provider/spi/index.js';
import type {
  ChannelEvents,
  ChannelListener,
  ControlChannel,
  ControlChannels,
  SharingServices,
} from '../../switch/sharing/channel.js';
import type { SimLoop } from './loop.js';

interface End {
  readonly channel: ControlChannel;
  events: ChannelEvents | null;
  isOpen: boolean;
  peer: End | null;
}

type Accept = (channel: ControlChannel) => ChannelEvents;

export class Neighbours {
  readonly #records = new Map<
    number,
    { readonly processId: number; readonly record: Uint8Array }
  >();
  readonly #listeners = new Map<
    string,
    { readonly processId: number; readonly accepted: Accept }
  >();
  readonly #due: (() => void)[] = [];
  #last = 0;

  constructor(loop: SimLoop) {
    loop.add({
      role: 'neighbours',
      doWork: () => {
        const due = this.#due.splice(0);
        for (const act of due) act();
        return due.length;
      },
    });
  }

  /** What one process has of it. */
  servicesOf(processId: number): SharingServices {
    const handover: HandoverStore = {
      leave: (target, record) => {
        this.#records.set(++this.#last, { processId: target, record: record.slice() });
        return this.#last;
      },
      take: (name) => {
        const left = this.#records.get(name);
        if (left?.processId !== processId) return null;
        this.#records.delete(name);
        return left.record;
      },
    };
    const channels: ControlChannels = {
      listen: (accepted) => this.#listen(processId, accepted),
      connect: (name, events) => {
        const listener = this.#listeners.get(name);
        if (listener === undefined) return null;
        const near = this.#end(listener.processId);
        const far = this.#end(processId);
        near.events = events;
        near.peer = far;
        far.peer = near;
        far.events = listener.accepted(far.channel);
        return near.channel;
      },
    };
    return { handover, channels };
  }

  #listen(processId: number, accepted: Accept): ChannelListener {
    const name = (++this.#last).toString(16).padStart(32, '0');
    this.#listeners.set(name, { processId, accepted });
    return { name, close: () => void this.#listeners.delete(name) };
  }

  #end(otherProcessId: number): End {
    const end: End = {
      isOpen: true,
      events: null,
      peer: null,
      channel: {
        processId: otherProcessId,
        isFlushed: true,
        send: (message) => {
          const { peer } = end;
          if (!end.isOpen || peer === null) return;
          this.#due.push(() => {
            if (peer.isOpen) peer.events?.received(message);
          });
        },
        close: () => {
          const { peer } = end;
          if (!end.isOpen) return;
          end.isOpen = false;
          this.#due.push(() => {
            if (peer?.isOpen !== true) return;
            peer.isOpen = false;
            peer.events?.closed();
          });
        },
      },
    };
    return end;
  }
}
