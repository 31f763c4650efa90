// The child's side of the hammer and of the litmus tests. Arguments: what to do, base directory,
// address, offset of the block, a number (message count or seed).

import { Prng } from '../../../runtime/prng.js';
import { consume } from '../hammer-ring.js';
import { readMessages, sleepForProducer } from '../litmus.js';
import { openedBlock } from '../two-sided.js';
import { argument, hangUp, hear, say } from './lines.js';

const { block, close } = openedBlock(argument(1), argument(2), argument(3));
const number = Number(argument(4));
say('ready');
switch (argument(0)) {
  case 'consume':
    say(consume(block, number));
    break;
  case 'messages':
    await hear();
    say(JSON.stringify([...readMessages(block)]));
    break;
  case 'sleeper':
    sleepForProducer(block, new Prng(number));
    say('done');
    break;
  default:
    throw new Error('what to do?');
}
close();
hangUp();
