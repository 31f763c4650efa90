// Accepts connections and answers every message with a message, asleep in between. Arguments:
// EndOptions as JSON, the count of connections, the count of messages to answer.

import type { EndOptions } from '../harness/end.js';
import { Sleeper } from '../harness/sleeper.js';

const [options = '', connections = '', messages = ''] = process.argv.slice(2);
const sleeper = await Sleeper.open(JSON.parse(options) as EndOptions);
sleeper.opened.nic.listen(80);
process.stdout.write('listening\n');
const queuePairs = new Map(
  Array.from({ length: Number(connections) }, () => {
    const request = sleeper.event();
    if (request.type !== 'connect-request') throw new Error(`unexpected ${request.type}`);
    const queuePair = sleeper.queuePair();
    for (let posted = 0; posted < 4; posted++) sleeper.post('receive', queuePair);
    queuePair.accept(request.requestId, new Uint8Array(0));
    if (sleeper.event().type !== 'established') throw new Error('not established');
    return [queuePair.slot, queuePair];
  }),
);
for (let answered = 0; answered < Number(messages); answered++) {
  const queuePair = queuePairs.get(sleeper.message());
  if (queuePair === undefined) throw new Error('a message of no queue pair');
  sleeper.post('receive', queuePair);
  sleeper.post('send', queuePair);
}
// The other side closes first: its last message is then sure to have been read.
if (sleeper.event().type !== 'disconnected') throw new Error('not disconnected');
await sleeper.close();
