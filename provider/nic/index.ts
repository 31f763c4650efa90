// winsock-direct/nic: the NIC model, for providers that want it under them.

export * from './verbs.js';
export type * from './device.js';
export { addressText } from './address.js';
export { COST_MODELS } from './cost-model.js';
export type { CostModel, CostModelName } from './cost-model.js';
