// Shows a buffer to the test: its address goes out, and what the test wrote there is printed.

import { native } from '../../../native/load.js';
import { hangUp, hear, say } from './lines.js';

const LENGTH = 3_000_001;
const buffer = Buffer.from(new ArrayBuffer(LENGTH));
buffer.write('hello');
buffer[LENGTH - 1] = 0x7e;
say(`hello ${native.addressOf(buffer.buffer)} ${LENGTH}`);
await hear();
say(buffer.subarray(0, 5).toString());
hangUp();
