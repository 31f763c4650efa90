// A vitest reporter that writes what ran, as JSON, to the file named in WSD_TEST_REPORT: the title
// and state of every test by file, and the counts. A file that fails to load and an error outside
// any test count as one failure each, so that the counts never look better than the run was.

import fs from 'node:fs';
import path from 'node:path';

export default class TestReporter {
  #vitest;

  onInit(vitest) {
    this.#vitest = vitest;
  }

  onTestRunEnd(modules, unhandledErrors) {
    const counts = { passed: 0, failed: unhandledErrors.length, skipped: 0 };
    const files = {};
    for (const module of modules) {
      const tests = [...module.children.allTests()].map((test) => ({
        title: test.name,
        suites: test.fullName,
        state: test.result().state,
      }));
      files[path.relative(process.cwd(), module.moduleId)] = tests;
      for (const { state } of tests) if (state in counts) counts[state]++;
      const hasOwnFailure =
        module.state() === 'failed' && !tests.some((test) => test.state === 'failed');
      if (hasOwnFailure) counts.failed++;
    }
    const isChosenByName = this.#vitest.config.testNamePattern !== undefined;
    const report = { counts, isChosenByName, files };
    fs.writeFileSync(process.env.WSD_TEST_REPORT, JSON.stringify(report));
  }
}
