// How processes that share a socket talk to each other: what a switch is handed for it. Messages arrive
// whole and in order, in turns of the progress loop; whoever ends, for whatever reason, ends its
// channels. Knows no transport. Source: DUP-01, DUP-03; docs/duplication.md, "Control".

import type { HandoverStore } from '../../provider/spi/provider.js';

export interface ChannelEvents {
  received(message: Uint8Array): void;
  /** The other end has closed, or its process has ended. Nothing comes after it. */
  closed(): void;
}

export interface ControlChannel {
  /** The process at the other end. */
  readonly processId: number;
  /** Whether everything sent has left this process. */
  readonly isFlushed: boolean;
  /** A message of any length; lost when the other end is gone. The bytes are the channel's now. */
  send(message: Uint8Array): void;
  /** What was sent and has not left is lost. Twice is allowed. No event follows. */
  close(): void;
}

export interface ChannelListener {
  /** By which others of this user reach it: unguessable. */
  readonly name: string;
  close(): void;
}

export interface ControlChannels {
  /** null: there are no descriptors left. */
  listen(accepted: (channel: ControlChannel) => ChannelEvents): ChannelListener | null;
  /** null: nobody listens by that name any more. */
  connect(name: string, events: ChannelEvents): ControlChannel | null;
}

/** What sharing a connection between processes needs; a switch without it does not share any. */
export interface SharingServices {
  readonly handover: HandoverStore;
  readonly channels: ControlChannels;
}
