// Timeline scripts, for whoever runs them: the command-line tool and the tests.

export { learnScript, Mismatch, runScript } from './run-script.js';
export { parseScript, ScriptError } from './script.js';
