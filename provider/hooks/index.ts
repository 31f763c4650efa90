// The published entry `winsock-direct/hooks`: providers that wrap a provider. Stack them in any order,
// the first one innermost; a provider without hooks pays nothing.

export type { FaultHook, FaultOptions, FaultRule } from './faults.js';
export { faults } from './faults.js';
export type { CallSite, Interceptor } from './intercept.js';
export { intercepting } from './intercept.js';
export type { LatencyHistogram, MeterHook, MeterOptions, MeterReading } from './meter.js';
export { meter } from './meter.js';
export type { TraceEvent, TraceHook, TraceOptions } from './trace.js';
export { trace } from './trace.js';
export type { ProviderHook, Wrapping } from './wrap.js';
export { wrapProvider } from './wrap.js';
export type { Place, Stop, StopCode, Violation } from './verify/stops.js';
export { reportOf, sentenceOf, STOPS, VerifierStop } from './verify/stops.js';
export type { VerifyHook, VerifyOptions } from './verify/verify.js';
export { verify } from './verify/verify.js';
