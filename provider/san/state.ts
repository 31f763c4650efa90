// What the functions of one provider share: the NIC, the upcalls, the sockets, and the objects that
// are reused so that a transfer allocates nothing. Every SPI function of this folder takes it first.

import type { CompletionQueue, NicDevice } from '../nic/device.js';
import { WorkCompletion, WorkRequest } from '../nic/verbs.js';
import type { Profile } from '../spi/profile.js';
import type { Logger, ProviderEnvironment, RandomSource } from '../spi/provider.js';
import { ref } from '../spi/winsock2.js';
import type { WSPUpcallTableEx } from '../spi/ws2spi.js';
import type { Errand, MovedListener, Operation, PendingRequest, SanSocket } from './record.js';
import { SocketTable } from './record.js';
import type { Exposure } from './exposures.js';
import type { CacheLimits } from './registration-cache.js';
import { RegistrationCache } from './registration-cache.js';

export type SanEnvironment = ProviderEnvironment<NicDevice>;

/** What may be chosen about a provider, apart from the profile. */
export interface SanProviderOptions {
  /**
   * 'pending': every transfer that starts is pending, like those of the field provider (IMPL-02).
   * 'immediate': one that the NIC has finished when the call returns is complete at once, with no
   * notification. A profile that says either of the two wins. Default 'pending'.
   */
  readonly completion?: 'pending' | 'immediate';
  /**
   * Offer WSPRdmaRead if the NIC can. The same on all hosts of a SAN. [XFER-11] Default true.
   */
  readonly rdmaRead?: boolean;
  /** SO_RDMA_THRESHOLD_SIZE, in bytes. [OPT-05] Default 4096. */
  readonly rdmaThresholdBytes?: number;
  /**
   * How much stays pinned after its deregistration, in all sockets together; false: nothing, and
   * there is no WSPMemoryRegistrationCacheCallback. [CACHE-01] Default DEFAULT_CACHE_LIMITS.
   */
  readonly registrationCache?: CacheLimits | false;
}

export const DEFAULT_RDMA_THRESHOLD_BYTES = 4096;
export const DEFAULT_CACHE_LIMITS: CacheLimits = { entries: 4096, bytes: 64 * 2 ** 20 };

/** More than any queue holds, and a small integer. */
const NO_LIMIT = 0x3fffffff;

export class SanState {
  readonly nic: NicDevice;
  /** One for all sockets. */
  readonly completionQueue: CompletionQueue;
  readonly random: RandomSource;
  readonly profile: Profile;
  readonly logger: Logger;
  readonly environment: SanEnvironment;
  readonly completesAtOnce: boolean;
  readonly hasRdmaRead: boolean;
  readonly rdmaThresholdBytes: number;
  /** What a profile allows in progress on one socket, at most; the NIC may allow less. [IMPL-01] */
  readonly sendsMax: number;
  readonly receivesMax: number;
  readonly maxSge: number;
  /** SO_MAX_MSG_SIZE and SO_MAX_RDMA_SIZE. [OPT-03, OPT-04] */
  readonly maxMessageBytes: number;
  readonly maxRdmaBytes: number;
  /** maxMessageBytes is less than what the NIC refuses by itself. */
  readonly limitsMessages: boolean;
  /** The longest message that QueuePair.inject is tried with; -1 where outcomes must not come so. */
  readonly injectBytesMax: number;
  /** The same of QueuePair.injectWrite and injectRead. */
  readonly directBytesMax: number;
  /** null: what is deregistered is unpinned. */
  readonly cache: RegistrationCache | null;

  /** Starts minus cleanups. [CLEANUP-01] */
  starts = 0;
  /** The last WSPCleanup was called, and not everything has ended. */
  isEnding = false;
  /** The NIC is gone. What is open can be closed, and nothing begins any more. [ERR-04] */
  isRemoved = false;
  /** Completion upcalls that have not returned. */
  notifying = 0;
  /** Calls of WSPGetOverlappedResult that found nothing. */
  polls = 0;
  /** Of the first start; null before it and after the last cleanup. */
  upcalls: WSPUpcallTableEx | null = null;
  readonly sockets = new SocketTable();
  /** By queue pair slot, open sockets and closed ones that are not finished. */
  readonly byQueuePair: (SanSocket | undefined)[] = [];
  /** Closed and not yet given back by lpWPUCloseSocketHandle. */
  readonly closing = new Set<SanSocket>();
  /** By serviceKey(). */
  readonly listeners = new Map<number, SanSocket>();
  /** By request id, those that wait in a backlog or for a condition function. */
  readonly pendingRequests = new Map<number, PendingRequest>();
  /** Local port, remote address and port of every connection, to find a duplicate. */
  readonly connections = new Set<string>();

  /** Connected sockets whose connection can be handed over, by what both ends call it. */
  readonly identities = new Map<string, SanSocket>();
  /** What the peers of all sockets may reach. */
  readonly exposures = new Set<Exposure>();
  /** Listeners that were handed over, by what their processes call them. [DUP-14] */
  readonly movedListeners = new Map<string, MovedListener>();
  /** By queue pair slot: questions to another provider that wait for the answer. */
  readonly errands = new Map<number, Errand>();
  /** Those whose peer is moving. */
  readonly parked = new Set<SanSocket>();

  /** Operations whose outcome is known and not yet told, oldest first. */
  finishedHead: Operation | null = null;
  finishedTail: Operation | null = null;

  // Reused; nothing may keep them across a call.
  readonly request = new WorkRequest();
  readonly completion = new WorkCompletion();
  readonly errno = ref(0);

  constructor(environment: SanEnvironment, options: SanProviderOptions) {
    const { nic, profile } = environment;
    this.environment = environment;
    this.nic = nic;
    this.random = environment.random;
    this.profile = profile;
    this.logger = environment.logger;
    this.completesAtOnce =
      profile.completion === 'natural'
        ? options.completion === 'immediate'
        : profile.completion === 'inline-when-possible';
    this.hasRdmaRead = nic.attributes.rdmaRead && options.rdmaRead !== false;
    this.sendsMax = profile.sendQueueDepth ?? NO_LIMIT;
    this.receivesMax = profile.receiveQueueDepth ?? NO_LIMIT;
    const { maxSge, maxMessageBytes } = nic.attributes;
    this.maxSge = maxSge;
    this.maxMessageBytes = Math.min(maxMessageBytes, profile.maxMessageBytes ?? maxMessageBytes);
    this.limitsMessages = this.maxMessageBytes < maxMessageBytes;
    this.injectBytesMax = this.completesAtOnce
      ? -1
      : Math.min(nic.attributes.inlineBytes, this.maxMessageBytes);
    this.maxRdmaBytes = Math.min(maxMessageBytes, profile.maxRdmaBytes ?? maxMessageBytes);
    const directBytes = nic.attributes.directBytes ?? -1;
    this.directBytesMax = this.completesAtOnce ? -1 : Math.min(directBytes, this.maxRdmaBytes);
    const limits = options.registrationCache ?? DEFAULT_CACHE_LIMITS;
    this.cache = limits === false ? null : new RegistrationCache(limits, environment.random);
    this.completionQueue = nic.createCompletionQueue();
    this.rdmaThresholdBytes = options.rdmaThresholdBytes ?? DEFAULT_RDMA_THRESHOLD_BYTES;
  }
}
