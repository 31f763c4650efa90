// What the composition root hands to a switch in place of an ambient world. The switch reaches for
// nothing else: no clock, timer, randomness, memory or thread of its own. Source: the project's
// layering rules; INIT-01 (one switch per process, here per host).

import type { Clock } from '../runtime/clock.js';
import type { ProgressLoop } from '../runtime/progress.js';
import type { HostMemory, Logger, RandomSource } from '../provider/spi/provider.js';
import type { Profile } from '../provider/spi/profile.js';
import type { SharingServices } from './sharing/channel.js';

export interface SwitchEnvironment {
  readonly clock: Clock;
  readonly random: RandomSource;
  /** The thread's loop: the switch adds itself as an agent and blocks by it. */
  readonly progress: ProgressLoop;
  readonly memory: HostMemory;
  readonly logger: Logger;
  readonly profile: Profile;
  /** The host's IPv4 address in host order; connections to it stay with TCP/IP. */
  readonly hostAddress: number;
  readonly processId: number;
  /** Absent where connections of SAN providers are not shared with other processes. */
  readonly sharing?: SharingServices;
  /**
   * Resolves when something on this thread may have moved, or when the loop's nextDeadline() has
   * come: how the promise twins wait without a timer of their own.
   */
  readonly wakeup: () => Promise<void>;
  /** A removed provider has been ended: what it drove is free for another. */
  readonly providerEnded?: (providerId: string) => void;
  /**
   * Reads the file with this handle, from `position` or, when it is null, from where the last read
   * ended; the number of bytes, 0 at its end, -1 when that fails. TransmitFile without it is refused.
   */
  readonly readFile?: (handle: number, into: Uint8Array, position: number | null) => number;
}
