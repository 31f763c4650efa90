// Raises SIGBUS outside every arena, once the addon's guard is installed.

import { Arena } from '../../../native/arena.js';
import { hangUp, say } from './lines.js';

const arena = new Arena(1_048_576);
arena.view.storePlain(0, 1);
say('handler installed');
await new Promise((resolve) => {
  process.stdout.write('', resolve);
});
process.kill(process.pid, 'SIGBUS');
hangUp();
