// What count-instructions.ts runs under valgrind: a connection on one thread, messages until their code is
// compiled for good, and then as many as are counted, with the counting switched on for those alone.
// Arguments: layer, way, messages, connections.

import { spawnSync } from 'node:child_process';
import { Exchange, GROUP, openPairs } from '../dist/bench/one-thread.js';

const BYTES = 64;
const WARM_UP = 40_000;

const [level, way, messages, connections] = process.argv.slice(2);
const slotCount = (way === 'lat' ? 2 : GROUP) + 1;
const options = { slotBytes: BYTES, slotCount, mode: 'spin', connections: Number(connections) };
const pairs = await openPairs(level, `count-${process.pid}`, options);
const exchange = new Exchange(pairs, way, BYTES);
exchange.run(WARM_UP);
countFromHere(true);
measured(Number(messages));
countFromHere(false);
await pairs.close();

/** By a name of its own, which the profile is searched for. */
function measured(count) {
  exchange.run(count);
}

function countFromHere(isOn) {
  if (process.env.WSD_COUNT !== '1') return;
  spawnSync('callgrind_control', ['-i', isOn ? 'on' : 'off', String(process.pid)]);
}
