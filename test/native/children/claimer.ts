// Claims and releases the same addresses again and again, to race with other claimers. Prints how
// many claims it won. Arguments: base directory, fabric, rounds, addresses separated by commas.

import { Arena } from '../../../native/arena.js';
import { isSystemFailure } from '../../../native/errors.js';
import { FabricDirectory, sweepFabrics } from '../../../native/fabric-directory.js';
import { argument, hangUp, hear, say } from './lines.js';

const base = argument(0);
const fabric = new FabricDirectory(argument(1), { base });
const addresses = argument(3).split(',');
const arena = new Arena();
let won = 0;
say('ready');
await hear();
for (let round = 0; round < Number(argument(2)); round++) {
  const address = addresses[round % addresses.length] ?? '';
  try {
    const host = fabric.claim(address, { arena, bytes: 65_536 });
    won++;
    if (!fabric.hosts().includes(address)) throw new Error(`${address} is claimed and not alive`);
    if (round % 3 === 0) sweepFabrics({ base });
    host.release();
  } catch (thrown) {
    if (!isSystemFailure(thrown, 'EADDRINUSE')) throw thrown;
  }
}
say(won);
hangUp();
