// Sleeps on a word of a host's segment until it is no longer 0, then sets the word behind it.
// Arguments: base directory, fabric, address, word in the segment.

import { Arena } from '../../../native/arena.js';
import { FabricDirectory } from '../../../native/fabric-directory.js';
import { waitOnWord } from '../../../native/futex.js';
import { argument, hangUp, say } from './lines.js';

const arena = new Arena();
const peer = new FabricDirectory(argument(1), { base: argument(0) }).open(argument(2), arena);
if (peer === null) throw new Error('the host is not alive');
const word = peer.segment.word(Number(argument(3)) * 4);
say('asleep soon');
while (arena.view.loadAcquire(word) === 0) waitOnWord(arena, word, 0, Infinity);
arena.view.storeRelease(word + 1, 1);
say('awake');
peer.close();
hangUp();
