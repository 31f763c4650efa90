// What cases need of a provider, each as a function that gives the reason when it is missing. Also the
// other way round: cases about not having something. Sources: EXT-03, OPT-06, QOS-01, IMPL-01.

import type { Requirement } from './case.js';

export const needsRdmaRead: Requirement = ({ rdmaRead }) => (rdmaRead ? null : 'no WSPRdmaRead');

export const needsNoRdmaRead: Requirement = ({ rdmaRead }) => (rdmaRead ? 'WSPRdmaRead' : null);

export const needsCache: Requirement = ({ registrationCacheCallback }) =>
  registrationCacheCallback ? null : 'no registration cache';

export const needsNoCache: Requirement = ({ registrationCacheCallback }) =>
  registrationCacheCallback ? 'a registration cache' : null;

export const needsNoQos: Requirement = ({ qos }) => (qos ? 'QoS' : null);

export const needsMessageLimit: Requirement = ({ maxMessageSize }) =>
  maxMessageSize === null ? 'no limit of messages' : null;

export const needsNoMessageLimit: Requirement = ({ maxMessageSize }) =>
  maxMessageSize === null ? null : 'a limit of messages';

export const needsRdmaLimit: Requirement = ({ maxRdmaSize }) =>
  maxRdmaSize === null ? 'no limit of RDMA transfers' : null;

export const needsDuplication: Requirement = ({ duplicate }) =>
  duplicate ? null : 'no duplication';

export const needsNoDuplication: Requirement = ({ duplicate }) =>
  duplicate ? 'duplication' : null;

export const needsWaitingResult: Requirement = (_capabilities, { overlappedResultWaits }) =>
  overlappedResultWaits ? null : 'WSPGetOverlappedResult does not wait in this profile';

/** As many sends, receives or RDMA transfers in progress at once. */
export function needsDepth(depth: number): Requirement {
  return (_capabilities, { sendQueueDepth, receiveQueueDepth }) => {
    const least = Math.min(sendQueueDepth ?? Infinity, receiveQueueDepth ?? Infinity);
    return least >= depth ? null : `queues of ${least}`;
  };
}

/** All of them; the first that is missing is the reason. */
export function needsAll(...needs: readonly Requirement[]): Requirement {
  return (capabilities, profile) => {
    for (const need of needs) {
      const missing = need(capabilities, profile);
      if (missing !== null) return missing;
    }
    return null;
  };
}
