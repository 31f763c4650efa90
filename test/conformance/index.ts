// The published entry `winsock-direct/conformance`: the kit with which a provider author learns, clause
// by clause, what works. It needs the contract and a fixture, and no test framework.

export * from './case.js';
export * from './check.js';
export * from './fixture.js';
export { ALL_CASES } from './groups/index.js';
export * from './runner.js';
export * from './report/clauses.js';
export * from './report/machine.js';
export * from './report/run.js';
export * from './report/terminal.js';
